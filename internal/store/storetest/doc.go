// Package storetest holds the one contract that every store.Store must pass.
//
// Conformance runs it against whatever a constructor makes. The store under test must use Codec, and must offer the two
// things that a user of a store cannot do but its world can: Compactor and RawWriter.
package storetest
