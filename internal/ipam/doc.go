// Package ipam hands out addresses: blocks, affinities, handles (spec/store-layout.md §1.6, features.md §1.4).
//
// The allocator of blocks is pure; around it, compare-and-swap over store. Concurrent requests of a node share one
// transaction (group commit). It can share a store with Calico nodes: same keys, same order of the two-phase claim. No
// address is ever given twice, whatever write the process dies at; what a crash leaves is found by GC. Wall time never
// decides ownership.
package ipam
