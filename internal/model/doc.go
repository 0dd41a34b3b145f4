// Package model holds Tortie's domain types: what the stages between store and kernel talk about.
//
// Values are parsed (netip, numbers, selectors), never strings that somebody must parse again, and are immutable once
// handed over: whoever wants to change one makes a new one. Keys are comparable. Nothing here knows Kubernetes types,
// files, wires or the kernel.
package model
