// Package index matches labelled items with selectors, incrementally.
//
// In: items (endpoints, network sets) with own labels and the profiles that they inherit labels from (R52), profiles
// with labels, selectors with reference counts. Out: calls when an item starts or stops to match a selector. The work for
// one change is that of its candidates: selectors are filed under the rarest key=value that they require, items under the
// labels that they state, and an inherited label is found through the profile, so that a profile's change touches its
// members only.
//
// A selector that no item was a candidate for is kept as text, and labels, items and sets are numbers in slabs: a node
// knows hundreds of thousands of them and is concerned by few.
//
// There are two sides that never meet: subjects (endpoints of the span, against the selectors of policies) and members
// (every item, against the selectors of rules).
package index
