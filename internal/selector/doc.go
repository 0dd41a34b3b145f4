// Package selector is the selector language of Calico's API: parse, canonical text, match, rewrite.
//
// In: the text of a selector (R60) and, for matching, a set of labels. Out: an immutable *Selector; its canonical
// text identifies it (two selectors with the same canonical text select the same things). Absent labels follow R61.
// Parsing never panics, is linear in the input and refuses what is nested deeper than MaxDepth.
// It imports nothing of Tortie.
package selector
