// Package reconcile keeps what is wanted beside what is there: Tracker, used by the planes.
//
// It imports nothing of Tortie and does no I/O: it says what must be written and deleted, and is told what was.
package reconcile
