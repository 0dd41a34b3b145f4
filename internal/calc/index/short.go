package index

import (
	"strings"

	"github.com/tortie-net/tortie/internal/selector"
)

// The keys of computed labels begin with prefix (R52): the text of a selector that waits has mark for it.
const (
	prefix = "projectcalico.org/"
	mark   = "\x01"
)

// Shorten is the text of a selector in a shorter form of which Lengthen and then selector.Parse surely make the same
// selector. It reports false where that is not sure: a key, value or nesting may be beyond what Parse accepts, a value
// holds both kinds of quotes (which only a constructor can bring about) or the mark itself, or it is the text of the zero
// selector, which means another one to Parse.
func Shorten(text string) (string, bool) {
	if text == "" || len(text) > selector.MaxKeyLength || strings.Contains(text, `\`) || strings.Contains(text, mark) ||
		strings.Count(text, "(")+strings.Count(text, "!") >= selector.MaxDepth {
		return "", false
	}
	return strings.Clone(strings.ReplaceAll(text, prefix, mark)), true
}

// Lengthen undoes Shorten.
func Lengthen(short string) string { return strings.ReplaceAll(short, mark, prefix) }

// fullText is a selector's canonical text.
func (r *registered) fullText() string {
	if r.selector == nil {
		return Lengthen(r.text)
	}
	return r.text
}

// is tells whether a selector has a canonical text.
func (r *registered) is(text string) bool { return r.fullText() == text }

// unpack is a selector, which from now on is at hand.
func (x *Index) unpack(r *registered) *selector.Selector {
	if r.selector == nil {
		sel, err := selector.Parse(Lengthen(r.text))
		if err != nil {
			return nil // Shorten rules it out; nil matches nothing
		}
		r.selector, r.text = sel, sel.String()
	}
	return r.selector
}
