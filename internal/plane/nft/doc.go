// Package nft is the policy plane on nftables: table inet tortie, raw netlink, one batch per transaction.
//
// It renders policies as chains that endpoints with the same policies share, dispatches by verdict maps, keeps members in
// sets (addresses in hash sets, prefixes in interval sets), counts by RuleID, and repairs what others touch. Everything it
// owns is in its table; what it makes reads well in `nft list table inet tortie` (docs/nftables.md shows it).
package nft
