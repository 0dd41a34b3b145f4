// Package bgp derives each node's speaker: the mesh and the explicit peerings.
//
// In: nodes, BGPConfigurations, BGPPeers. Out: a whole intent.BGP for a node that is asked for. The work for one node is
// that of the nodes and peers of the cluster, never that of all pairs.
package bgp
