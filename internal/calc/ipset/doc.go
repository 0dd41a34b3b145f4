// Package ipset keeps the members of the sets that rules refer to.
//
// In: what sets are wanted, which items match which selectors (from index), the items' addresses and ports, the ready
// endpoints of services. Out: whole sets and their changes since the last call. Two rules that mean the same addresses
// share one set, whatever policy they are of. A member stays until the last of its contributors leaves (R68). Both
// families are in one set.
package ipset
