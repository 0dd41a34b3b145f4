// Package proof holds the tests that compare the evaluators: the law (policy) against the node's own (trace over what calc
// made), on generated clusters and packets. A failing case prints its seed and the fewest objects that still show it.
//
// TORTIE_PROOF_SEED chooses the first seed, TORTIE_PROOF_CASES the number of packets; `make proof` asks for a million.
package proof
