// Package route says which prefix lives at which node.
//
// In: blocks, their affinities, pools, and the addresses that workloads state. Out: one BlockRoute for each block whose
// affinity is confirmed (R141), one for each address that another node than the block's uses (R142), and one for each
// stated address outside every block. The work for a block is that of its own addresses.
package route
