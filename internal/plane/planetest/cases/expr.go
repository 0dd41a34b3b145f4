package cases

import (
	"encoding/json"
	"math/rand/v2"
	"strings"

	"github.com/tortie-net/tortie/internal/selector"
)

// Expr is a selector as its author thinks of it. As JSON it is its text.
type Expr struct {
	op       string // "==", "in", "has", "all", "!", "&&" …
	key      string
	values   []string
	operands []*Expr
}

// text writes the selector with prefix before every key and other words for all() and global() (R62, R63).
func (e *Expr) text(prefix, all, global string) string {
	parts := make([]string, len(e.operands))
	for i, o := range e.operands {
		parts[i] = "(" + o.text(prefix, all, global) + ")"
	}
	switch e.op {
	case "all":
		return all
	case "global":
		return global
	case "has":
		return "has(" + prefix + e.key + ")"
	case "!":
		return "!" + parts[0]
	case "&&", "||":
		return strings.Join(parts, " "+e.op+" ")
	case "in", "not in":
		return prefix + e.key + " " + e.op + " {'" + strings.Join(e.values, "', '") + "'}"
	}
	return prefix + e.key + " " + e.op + " '" + e.values[0] + "'"
}

// String is the text as the author writes it.
func (e *Expr) String() string { return e.text("", "all()", "global()") }

// MarshalJSON implements json.Marshaler.
func (e *Expr) MarshalJSON() ([]byte, error) { return json.Marshal(e.String()) }

// label is a label that selectors ask for, and the values that it may have.
type label struct {
	key    string
	values []string
}

// The labels of endpoints and network sets, of namespaces and of service accounts. Those of an endpoint include some that
// it inherits.
var (
	endpointLabels = []label{
		{"app", []string{"a", "b", "ab"}}, {"app", []string{"a", "b", "ab"}}, {"role", []string{"web", "db"}},
		{"color", []string{"red", "blue"}}, {"pcns.env", []string{"prod", "test"}}, {"pcsa.team", []string{"x", "y"}},
		{"projectcalico.org/namespace", []string{"ns1", "ns2"}},
	}
	namespaceLabels = []label{
		{"env", []string{"prod", "test"}}, {"zone", []string{"east", "west"}}, {"projectcalico.org/name", []string{"ns1", "ns2"}},
	}
	accountLabels = []label{{"team", []string{"x", "y"}}, {"projectcalico.org/name", []string{"sa1", "sa2"}}}
)

// expr draws a selector over some labels.
func (g *generator) expr(labels []label, depth int) *Expr {
	n := g.IntN(20)
	switch {
	case depth > 0 && n < 3:
		return &Expr{op: "&&", operands: []*Expr{g.expr(labels, depth-1), g.expr(labels, depth-1)}}
	case depth > 0 && n < 7:
		return &Expr{op: "||", operands: []*Expr{g.expr(labels, depth-1), g.expr(labels, depth-1)}}
	case depth > 0 && n < 8:
		return &Expr{op: "!", operands: []*Expr{g.expr(labels, depth-1)}}
	case n < 10:
		return &Expr{op: "all"}
	}
	l := pick(g.Rand, labels)
	e := &Expr{op: pick(g.Rand, operators), key: l.key, values: []string{pick(g.Rand, l.values)}}
	if e.op == "in" || e.op == "not in" {
		e.values = l.values[g.IntN(len(l.values)):]
	}
	if e.op == "starts with" || e.op == "ends with" || e.op == "contains" {
		e.values[0] = e.values[0][:1]
	}
	return e
}

var operators = []string{"==", "==", "!=", "in", "not in", "has", "contains", "starts with", "ends with"}

// and is the conjunction of texts; those that are empty say nothing.
func and(texts ...string) string {
	var parts []string
	for _, t := range texts {
		if t != "" {
			parts = append(parts, "("+t+")")
		}
	}
	return strings.Join(parts, " && ")
}

// unparsed stands for a selector that this package wrote wrongly.
var unparsed = selector.Has("unparsed")

// parse reads a text that this package wrote; nil where it is empty.
func parse(text string) *selector.Selector {
	if text == "" {
		return nil
	}
	s, err := selector.Parse(text)
	if err != nil {
		return unparsed // cannot happen: TestTextsParse
	}
	return s
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
