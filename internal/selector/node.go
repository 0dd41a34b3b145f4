package selector

import (
	"slices"
	"strconv"
	"strings"
)

// op is what a node of the tree does.
type op uint8

// The operations. == is opIn and != is opNotIn with one value.
const (
	opAll op = iota
	opGlobal
	opHas
	opIn
	opNotIn
	opContains
	opStartsWith
	opEndsWith
	opNot // one operand, which is none of opNot, opIn, opNotIn
	opAnd // two or more operands, none of which is opAnd
	opOr  // two or more operands, none of which is opOr
)

// node is an immutable expression. Every node is made by newSet, newNot and newList or needs no normalisation, so that
// equal expressions have equal trees.
type node struct {
	op       op
	key      string   // opHas to opEndsWith
	values   []string // opIn, opNotIn: sorted, no duplicates; opContains to opEndsWith: one
	operands []*node  // opNot, opAnd, opOr
}

var (
	all    = &node{op: opAll}
	global = &node{op: opGlobal}
	// none matches nothing and stays so when all() and global() are replaced, as !all() would not.
	none = &node{op: opIn, key: "none", values: []string{}}
)

// newSet makes an opIn or opNotIn; it keeps values, which it turns from nil to empty: as a Requirement, nil is any value.
func newSet(o op, key string, values []string) *node {
	if values == nil {
		values = []string{}
	}
	slices.Sort(values)
	return &node{op: o, key: key, values: slices.Compact(values)}
}

// newNot negates: twice is nothing, and since == and "in" are false for an absent label where != and "not in" are true
// (R61), each pair is the other's exact negation.
func newNot(n *node) *node {
	switch n.op {
	case opNot:
		return n.operands[0]
	case opIn:
		return &node{op: opNotIn, key: n.key, values: n.values}
	case opNotIn:
		return &node{op: opIn, key: n.key, values: n.values}
	}
	return &node{op: opNot, operands: []*node{n}}
}

// newList makes an opAnd or opOr, with operands of the same kind dissolved in it.
func newList(o op, operands []*node) *node {
	flat := make([]*node, 0, len(operands))
	for _, n := range operands {
		if n.op == o {
			flat = append(flat, n.operands...)
		} else {
			flat = append(flat, n)
		}
	}
	switch {
	case len(flat) == 1:
		return flat[0]
	case len(flat) > 1:
		return &node{op: o, operands: flat}
	case o == opAnd:
		return all
	}
	return none
}

func (n *node) match(labels Labels) bool {
	switch n.op {
	case opAll, opGlobal:
		return true
	case opNot:
		return !n.operands[0].match(labels)
	case opAnd:
		for _, o := range n.operands {
			if !o.match(labels) {
				return false
			}
		}
		return true
	case opOr:
		for _, o := range n.operands {
			if o.match(labels) {
				return true
			}
		}
		return false
	}
	value, ok := labels.Get(n.key)
	if !ok {
		return n.op == opNotIn // R61
	}
	switch n.op {
	case opHas:
		return true
	case opIn:
		return n.hasValue(value)
	case opNotIn:
		return !n.hasValue(value)
	case opContains:
		return strings.Contains(value, n.values[0])
	case opStartsWith:
		return strings.HasPrefix(value, n.values[0])
	case opEndsWith:
		return strings.HasSuffix(value, n.values[0])
	}
	return false
}

func (n *node) hasValue(value string) bool {
	if len(n.values) == 1 {
		return n.values[0] == value
	}
	_, found := slices.BinarySearch(n.values, value)
	return found
}

// append adds the canonical text.
func (n *node) append(b []byte) []byte {
	switch n.op {
	case opAll:
		return append(b, "all()"...)
	case opGlobal:
		return append(b, "global()"...)
	case opHas:
		b = append(b, "has("...)
		b = append(b, n.key...)
		return append(b, ')')
	case opIn:
		return n.appendSet(b, " == ", " in ")
	case opNotIn:
		return n.appendSet(b, " != ", " not in ")
	case opContains:
		return n.appendComparison(b, " contains ")
	case opStartsWith:
		return n.appendComparison(b, " starts with ")
	case opEndsWith:
		return n.appendComparison(b, " ends with ")
	case opNot:
		return n.operands[0].appendWithin(append(b, '!'), opNot)
	case opAnd:
		return n.appendList(b, " && ")
	case opOr:
		return n.appendList(b, " || ")
	}
	return b
}

func (n *node) appendSet(b []byte, single, several string) []byte {
	if len(n.values) == 1 {
		return n.appendComparison(b, single)
	}
	b = append(b, n.key...)
	b = append(b, several...)
	b = append(b, '{')
	for i, v := range n.values {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendValue(b, v)
	}
	return append(b, '}')
}

func (n *node) appendComparison(b []byte, operator string) []byte {
	b = append(b, n.key...)
	b = append(b, operator...)
	return appendValue(b, n.values[0])
}

func (n *node) appendList(b []byte, operator string) []byte {
	for i, o := range n.operands {
		if i > 0 {
			b = append(b, operator...)
		}
		b = o.appendWithin(b, n.op)
	}
	return b
}

// appendWithin adds the text of an operand, in parentheses where the outer operation binds tighter.
func (n *node) appendWithin(b []byte, outer op) []byte {
	if n.op == opOr || n.op == opAnd && outer == opNot {
		b = append(b, '(')
		b = n.append(b)
		return append(b, ')')
	}
	return n.append(b)
}

// appendValue quotes a value. One that holds both quotes has no text in the language; the backslash, which occurs
// nowhere else outside of quotes, keeps the text of different selectors different all the same.
func appendValue(b []byte, value string) []byte {
	switch {
	case !strings.Contains(value, "'"):
		b = append(b, '\'')
		b = append(b, value...)
		return append(b, '\'')
	case !strings.Contains(value, `"`):
		b = append(b, '"')
		b = append(b, value...)
		return append(b, '"')
	}
	return strconv.AppendQuote(append(b, '\\'), value)
}
