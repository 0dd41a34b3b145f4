// Package mem is the honest fake: a whole store in memory.
//
// It keeps encoded bytes, a revision per write and the history that watches read, so it behaves as a real back end does:
// values that went in and values that come out share nothing, a late watch may find its revision compacted, and what
// cannot be read is listed with its Problem. Faults are part of it: Fail and FailAfter refuse single operations before
// or after they took effect, Disconnect and Reconnect take the whole store away and give it back.
package mem
