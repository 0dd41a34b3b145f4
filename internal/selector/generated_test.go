package selector

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// expression is an independent form of a selector: its text, spelled at random, and what it means.
type expression struct {
	text  string
	means func(Map) bool
}

var (
	keys   = rapid.SampledFrom([]string{"a", "b", "in", "has", "x/y.z"})
	values = rapid.SampledFrom([]string{"", "1", "2", "12", "it's", `"`})
	spaces = rapid.SampledFrom([]string{" ", "  ", "\t"})
	gaps   = rapid.SampledFrom([]string{"", " ", "\n"})
)

func quote(t *rapid.T, value string) string {
	if strings.Contains(value, "'") || !strings.Contains(value, `"`) && rapid.Bool().Draw(t, "double") {
		return `"` + value + `"`
	}
	return "'" + value + "'"
}

func drawComparison(t *rapid.T) expression {
	key, value, space, gap := keys.Draw(t, "key"), values.Draw(t, "value"), spaces.Draw(t, "space"), gaps.Draw(t, "gap")
	word := func(operator string) string { return key + space + operator + gap + quote(t, value) }
	switch rapid.IntRange(0, 5).Draw(t, "operator") {
	case 0:
		return expression{key + gap + "==" + gap + quote(t, value), func(m Map) bool { v, ok := m[key]; return ok && v == value }}
	case 1:
		return expression{key + gap + "!=" + gap + quote(t, value), func(m Map) bool { v, ok := m[key]; return !ok || v != value }}
	case 2:
		return expression{word("contains"), func(m Map) bool { v, ok := m[key]; return ok && strings.Contains(v, value) }}
	case 3:
		return expression{word("starts" + space + "with"), func(m Map) bool { v, ok := m[key]; return ok && strings.HasPrefix(v, value) }}
	case 4:
		return expression{word("ends" + space + "with"), func(m Map) bool { v, ok := m[key]; return ok && strings.HasSuffix(v, value) }}
	}
	return expression{"has(" + gap + key + gap + ")", func(m Map) bool { _, ok := m[key]; return ok }}
}

func drawSet(t *rapid.T) expression {
	key, space, gap := keys.Draw(t, "key"), spaces.Draw(t, "space"), gaps.Draw(t, "gap")
	members := rapid.SliceOfN(values, 0, 4).Draw(t, "members")
	quoted := make([]string, len(members))
	for i, m := range members {
		quoted[i] = quote(t, m)
	}
	set := gap + "{" + gap + strings.Join(quoted, gap+","+gap) + gap + "}"
	in := func(m Map) bool {
		v, ok := m[key]
		for _, member := range members {
			if ok && v == member {
				return true
			}
		}
		return false
	}
	if rapid.Bool().Draw(t, "negative") {
		return expression{key + space + "not" + space + "in" + set, func(m Map) bool { return !in(m) }}
	}
	return expression{key + space + "in" + set, in}
}

// drawExpression writes every operand in parentheses, so that its meaning does not hang on precedence, which
// TestPrecedence covers.
func drawExpression(t *rapid.T, depth int) expression {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 && kind > 3 {
		kind -= 4
	}
	switch kind {
	case 0:
		return expression{"all()", func(Map) bool { return true }}
	case 1:
		return expression{"global()", func(Map) bool { return true }}
	case 2:
		return drawSet(t)
	case 3:
		return drawComparison(t)
	case 4:
		e := drawExpression(t, depth-1)
		return expression{"!(" + e.text + ")", func(m Map) bool { return !e.means(m) }}
	}
	l, r := drawExpression(t, depth-1), drawExpression(t, depth-1)
	if kind == 5 {
		return expression{"(" + l.text + ")&&(" + r.text + ")", func(m Map) bool { return l.means(m) && r.means(m) }}
	}
	return expression{"(" + l.text + ") || (" + r.text + ")", func(m Map) bool { return l.means(m) || r.means(m) }}
}

func fulfils(m Map, r Requirement) bool {
	v, ok := m[r.Key]
	if !ok || r.Values == nil {
		return ok
	}
	for _, allowed := range r.Values {
		if v == allowed {
			return true
		}
	}
	return false
}

// Against a naive evaluator: same meaning, sound requirements, the text round trips, negation negates.
func TestGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpression(t, 4)
		s, err := Parse(e.text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(s.String())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%q has text %q, which parses as %q, %v", e.text, s, again, err)
		}
		for range 8 {
			m := Map(rapid.MapOfN(keys, values, 0, 4).Draw(t, "labels"))
			if got, want := s.Match(m), e.means(m); got != want {
				t.Fatalf("%q (%q) matches %v: %t, want %t", e.text, s, m, got, want)
			}
			if Not(s).Match(m) == s.Match(m) {
				t.Fatalf("%q and its negation %q agree on %v", s, Not(s), m)
			}
			for _, r := range s.Requirements() {
				if s.Match(m) && !fulfils(m, r) {
					t.Fatalf("%q matches %v, which does not fulfil %v", s, m, r)
				}
			}
			prefixed := Map{}
			for k, v := range m {
				prefixed["p."+k] = v
			}
			if s.WithKeyPrefix("p.").Match(prefixed) != s.Match(m) {
				t.Fatalf("%q with prefix does not match %v as without", s, m)
			}
		}
	})
}

// Equal text exactly for equal trees, also with values that the language cannot write.
func TestTextIdentifies(t *testing.T) {
	wild := rapid.SampledFrom([]string{"", "1", `'`, `"`, `'"`, `'" && a == "`, `\"`, `\`})
	leaf := func(t *rapid.T) *Selector {
		key := keys.Draw(t, "key")
		switch rapid.IntRange(0, 3).Draw(t, "leaf") {
		case 0:
			return Has(key)
		case 1:
			return In(key, rapid.SliceOfN(wild, 0, 3).Draw(t, "values")...)
		case 2:
			return NotIn(key, rapid.SliceOfN(wild, 0, 3).Draw(t, "values")...)
		}
		return Equals(key, wild.Draw(t, "value"))
	}
	var tree func(t *rapid.T, depth int) *Selector
	tree = func(t *rapid.T, depth int) *Selector {
		switch kind := rapid.IntRange(0, 3).Draw(t, "tree"); {
		case depth == 0 || kind == 0:
			return leaf(t)
		case kind == 1:
			return Not(tree(t, depth-1))
		case kind == 2:
			return And(tree(t, depth-1), tree(t, depth-1))
		}
		return Or(tree(t, depth-1), tree(t, depth-1))
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := tree(t, 2), tree(t, 2)
		if same := reflect.DeepEqual(a.root, b.root); same != (a.String() == b.String()) || same != a.Equal(b) {
			t.Fatalf("%s and %s: same tree %t", a, b, same)
		}
	})
}

// Three operands with every pair of operators, against Go's own precedence.
func TestPrecedence(t *testing.T) {
	for bits := range 8 {
		a, b, c := bits&1 > 0, bits&2 > 0, bits&4 > 0
		m := Map{}
		for key, has := range map[string]bool{"a": a, "b": b, "c": c} {
			if has {
				m[key] = ""
			}
		}
		for text, want := range map[string]bool{
			"has(a) && has(b) || has(c)":     a && b || c,
			"has(a) || has(b) && has(c)":     a || b && c,
			"!has(a) && has(b) || has(c)":    !a && b || c,
			"!has(a) || !has(b) && !has(c)":  !a || !b && !c,
			"(has(a) || has(b)) && has(c)":   (a || b) && c,
			"!(has(a) || has(b)) && has(c)":  !(a || b) && c,
			"!(has(a) && !has(b)) || has(c)": !(a && !b) || c,
		} {
			if got := mustParse(t, text).Match(m); got != want {
				t.Errorf("%q matches %v: %t, want %t", text, m, got, want)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "all()", "a == 'b' && c != \"d\"", "a in {'x', 'y'} || !has(b)", "a not in {} && global()",
		"!(a starts with 'x' || b ends with 'y') && c contains ''", "((", "a == '", "has(", "in in {'in',}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			if e, ok := err.(*SyntaxError); !ok || e.Pos < 0 || e.Pos > len(text) || e.Msg == "" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if len(s.String()) > MaxLength {
			return
		}
		again, err := Parse(s.String())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%q has text %q, which parses as %v, %v", text, s, again, err)
		}
		for _, m := range []Map{{}, {"a": "b"}, {"a": "", "b": "y"}} {
			if s.Match(m) == Not(s).Match(m) {
				t.Fatalf("%q and its negation agree on %s", s, fmt.Sprint(m))
			}
		}
	})
}
