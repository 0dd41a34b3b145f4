// Package cli is the command line: verbs over a store, and explain, test and plan on a snapshot of it.
package cli
