package selector

import "slices"

// MaxLength is the longest selector text accepted, in bytes (the API's limit, spec/api.md appendix E, is 1024 for one
// field; combined selectors are made of several).
const MaxLength = 8192

// MaxDepth is the deepest nesting of parentheses and negations accepted.
const MaxDepth = 64

// MaxKeyLength is the longest label key accepted, in bytes (R60).
const MaxKeyLength = 512

// Labels is what a selector is matched against.
type Labels interface {
	// Get returns the value of a label and whether it is there.
	Get(key string) (value string, ok bool)
}

// Map is a plain set of labels.
type Map map[string]string

// Get implements Labels.
func (m Map) Get(key string) (string, bool) { v, ok := m[key]; return v, ok }

// Requirement is a necessary condition of a selector: whatever matches has the label Key and, where Values is not
// nil, one of these values. An index uses it to visit only candidates.
type Requirement struct {
	Key    string
	Values []string
}

// Selector is a parsed selector. It never changes. Nil and the zero value match nothing and have the text ""; do not
// hand that text to Parse, to which "" means all().
type Selector struct {
	root *node
	text string // canonical
}

// newSelector wraps a normalised tree.
func newSelector(root *node) *Selector { return &Selector{root: root, text: string(root.append(nil))} }

// tree is the selector's tree; that of nil and of the zero value matches nothing.
func (s *Selector) tree() *node {
	if s == nil || s.root == nil {
		return none
	}
	return s.root
}

// String is the canonical text. Two selectors have the same text exactly if they are the same expression after
// normalisation: sets sorted and without duplicates, sets of one value written with == and !=, negations pushed into
// == and "in", parentheses only where they are needed. Parse gives the same selector back, unless the text became
// longer than MaxLength or a constructor was given what the language cannot write (see Equals).
func (s *Selector) String() string {
	if s == nil {
		return ""
	}
	return s.text
}

// Equal tells whether two selectors have the same canonical text.
func (s *Selector) Equal(other *Selector) bool { return s.String() == other.String() }

// Match tells whether the labels satisfy the selector (R61). global() matches everything, as all() does: it has a
// meaning of its own only in a namespaceSelector, where the caller rewrites it (R63).
func (s *Selector) Match(labels Labels) bool { return s.tree().match(labels) }

// All is all().
func All() *Selector { return newSelector(all) }

// Has is has(key). The key must be a label key (ValidKey).
func Has(key string) *Selector { return newSelector(&node{op: opHas, key: key}) }

// Equals is key == 'value'. The key must be a label key (ValidKey). The language has no escapes, so that it cannot
// write a value holding both kinds of quotes; the text then shows the value as \"…\", which Parse refuses.
func Equals(key, value string) *Selector { return newSelector(newSet(opIn, key, []string{value})) }

// In is key in {values}; without values it matches nothing.
func In(key string, values ...string) *Selector {
	return newSelector(newSet(opIn, key, slices.Clone(values)))
}

// NotIn is key not in {values}, which an absent label satisfies (R61); without values it matches everything.
func NotIn(key string, values ...string) *Selector {
	return newSelector(newSet(opNotIn, key, slices.Clone(values)))
}

// And matches what every operand matches: everything if there is none, nothing if one is nil.
func And(operands ...*Selector) *Selector { return newSelector(newList(opAnd, trees(operands))) }

// Or matches what some operand matches: nothing if there is none. Nil operands add nothing.
func Or(operands ...*Selector) *Selector {
	given := slices.DeleteFunc(slices.Clone(operands), func(s *Selector) bool { return s == nil || s.root == nil })
	return newSelector(newList(opOr, trees(given)))
}

// Not matches what the operand does not match: everything if it is nil.
func Not(operand *Selector) *Selector {
	if operand == nil || operand.root == nil {
		return All()
	}
	return newSelector(newNot(operand.root))
}

func trees(operands []*Selector) []*node {
	nodes := make([]*node, len(operands))
	for i, o := range operands {
		nodes[i] = o.tree()
	}
	return nodes
}

// MarshalText is String, for JSON and the like.
func (s *Selector) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText makes s what Parse makes of the text, but of the empty text the zero Selector, whose text that is. It
// is for decoders only: a selector that somebody else has must not change.
func (s *Selector) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = Selector{}
		return nil
	}
	parsed, err := Parse(string(text))
	if err == nil {
		*s = *parsed
	}
	return err
}

// ValidKey tells whether text can be a label key: 1 to MaxKeyLength of a-z, A-Z, 0-9, '_', '.', '/', '-' (R60).
func ValidKey(text string) bool {
	if len(text) == 0 || len(text) > MaxKeyLength {
		return false
	}
	for i := range len(text) {
		if !isWord(text[i]) {
			return false
		}
	}
	return true
}
