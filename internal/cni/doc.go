// Package cni is the agent's half of the CNI plugin: ADD, DEL, CHECK, GC, STATUS.
//
// In: a request of protocol.go over the unix socket, with the network namespace as file descriptor. It waits for the
// workload, assigns addresses, makes the veth pair, binds it (the planes acknowledge), and only then answers; whatever
// fails is undone. A journal on disk lets a restarted agent know every binding. Allocator and Waiter are interfaces that
// the agent fills.
package cni
