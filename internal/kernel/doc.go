// Package kernel is the only importer of netlink, nftables and eBPF libraries: handles, dumps that are retried when
// interrupted, feature probes, network namespaces.
//
// It offers the planes plain functions over plain types; it decides nothing. A handle belongs to one network namespace
// and one goroutine. Errors name the object and the operation.
package kernel
