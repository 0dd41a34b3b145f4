// Package calc turns the cluster's objects into what nodes must look like.
//
// In: model.Update. Out: intent.Change. It is a function with memory of its input only: no goroutine, lock, clock, log or
// I/O; any two histories that end with the same last value of each key give the same intent, however split, repeated or
// reordered. It runs for a span of nodes: one for an agent, all for a hub. The work for one change does not grow with
// policies, endpoints or nodes that it does not concern; Visited counts it.
package calc
