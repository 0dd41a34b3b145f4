// Package trace says what the intent makes of a packet: verdict, tier, policy, rule, and what staged policies would do.
//
// It is what the node itself uses to explain, to judge staged policies and to cut flows, so it is fast (≤ 2 µs) and must
// agree with package policy and with the kernel on every packet. Pure; imports intent and model only.
package trace
