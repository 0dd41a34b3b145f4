// Package host resolves the settings of one node and what its allocator must know.
//
// In: FelixConfigurations, BGPConfigurations, ClusterInformation, pools, reservations. Out: intent.Config and
// intent.IPAM. Pure functions; nothing is kept.
package host
