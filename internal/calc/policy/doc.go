// Package policy orders policies and turns their rules into rules over sets.
//
// In: tiers, policies, profiles as model values. Out: the tiers of an endpoint (R20 to R25), and intent rules with the
// specs of the sets that they refer to. Pure functions; nothing is kept.
package policy
