// Package planetest is the contract of a policy plane, on real packets: whatever plane enforces policy must pass it.
//
// Generated cases against package policy, births, atomicity under a prober, restart with no writes, damage, counters by
// RuleID. It prints how often each rule field, action and family decided, and the seed of a failing case.
package planetest
