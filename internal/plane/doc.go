// Package plane holds what every plane is: an applier that moves one part of the kernel to the intent.
//
// A plane owns its kernel objects alone (one writer for each), is used from one goroutine, makes before it breaks, and
// keeps going: what cannot be done is reported per object and tried again. Nothing is removed before the intent is
// whole. The planes: nft (policy, NAT), route, link, sysctl; bpf and iptables pass the same contract (planetest).
package plane
