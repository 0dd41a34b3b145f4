// Package cases generates small clusters, with everything that decides about packets in them, and packets to try on them.
//
// In: one number. Out: the objects as model.Updates, the packets, and for most policies the text that an author would have
// written, so that conversion can be proven by the same cases. The same number gives the same cases on every machine.
// Policies are made of their texts here a second time, by rules R40 to R65 and without convert. Coverage counts what
// decided, so that a run can show that nothing stayed untried.
package cases
