// Package convert is the only place that parses and validates strings: api/v3 and core Kubernetes objects become model
// values, or the reason why not.
//
// It knows every kind (names, short names, scope, stored form), sets what an API server would set (defaults, types, tier
// label: spec/store-layout.md §5), says of a wrong object what is wrong, where, and what is allowed, and lists fields that
// it does not know. An invalid policy becomes one that isolates its subjects (model.Policy.Invalid); nothing panics on
// any input.
package convert
