// Package store is where the cluster's objects live: typed objects with revisions.
//
// Back ends: store/etcd (etcd v3, and its embedded server), store/kube, store/mem (the honest fake). All pass
// storetest.Conformance. An object's Value is a pointer that the caller must not change: to an api/v3 or core Kubernetes
// struct for a resource, to a model struct for what IPAM keeps (model.Block, Affinity, Handle, IPAMConfig).
// A value that cannot be read is listed with Value nil and Problem set: it is never skipped in silence.
// Writes are compare-and-swap; a transaction happens whole or not at all. Every call ends within its context.
package store
