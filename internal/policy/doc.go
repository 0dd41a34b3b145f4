// Package policy is the law: the slow, obvious evaluator that calc, trace and the kernel are proven against.
//
// In: the cluster's objects as model values, and a packet at an endpoint. Out: the verdict and who gave it. It follows the
// numbered rules of docs/semantics.md word by word, without an index, and shares only model and selector with the
// engine: never intent or calc.
package policy
