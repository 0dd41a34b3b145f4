// Package intent says what nodes must look like: the output of calc, the input of localize, trace and the planes.
//
// Shared objects (Set, Policy, Profile, BlockRoute, NodeFacts, Pool) exist once and go to the nodes of their audience;
// own objects (Endpoint, HostEndpoint, Config, BGP, IPAM) go to one node. Every object is a pointer to a struct that is
// immutable once emitted, so it can be encoded once and shared. The objects of kernel.go are what localize makes of
// them for one node: all that the planes see.
// Nothing here knows nftables, eBPF, Kubernetes or a secret.
package intent
