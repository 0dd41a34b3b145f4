package selector

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func mustParse(t testing.TB, text string) *Selector {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCanonicalText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "all()"},
		{" \t\n", "all()"},
		{"all ( )", "all()"},
		{"global()", "global()"},
		{`a=="b"`, "a == 'b'"},
		{`a == "it's"`, `a == "it's"`},
		{`a == '"'`, `a == '"'`},
		{`a == ''`, `a == ''`},
		{"a!='b'", "a != 'b'"},
		{"a in {'c','b','c'}", "a in {'b', 'c'}"},
		{"a in{'b'}", "a == 'b'"},
		{"a in {}", "a in {}"},
		{"a in {'b',}", "a == 'b'"},
		{"a not   in {'c','b'}", "a not in {'b', 'c'}"},
		{"a notin {'c'}", "a != 'c'"},
		{"a contains 'b'", "a contains 'b'"},
		{"a starts with 'b'", "a starts with 'b'"},
		{"a startswith 'b'", "a starts with 'b'"},
		{"a ends\twith 'b'", "a ends with 'b'"},
		{"has( a )", "has(a)"},
		{"!has(a)", "!has(a)"},
		{"! ! has(a)", "has(a)"},
		{"!(!(a == 'b'))", "a == 'b'"},
		{"!a == 'b'", "a != 'b'"},
		{"!a contains 'b'", "!a contains 'b'"},
		{"!(a contains 'b')", "!a contains 'b'"},
		{"!all()", "!all()"},
		{"a=='1'||b=='2'&&c=='3'", "a == '1' || b == '2' && c == '3'"}, // && binds tighter
		{"(a=='1'||b=='2')&&c=='3'", "(a == '1' || b == '2') && c == '3'"},
		{"a=='1'||(b=='2'&&c=='3')", "a == '1' || b == '2' && c == '3'"},
		{"((a=='1'&&b=='2')&&(c=='3'))", "a == '1' && b == '2' && c == '3'"},
		{"!(a=='1'&&b=='2')", "!(a == '1' && b == '2')"},
		{"!(a=='1'||b=='2')&&has(c)", "!(a == '1' || b == '2') && has(c)"},
		// Words are keywords only in their place.
		{"in in {'in'}", "in == 'in'"},
		{"not not in {'a', 'b'}", "not not in {'a', 'b'}"},
		{"has == 'all'", "has == 'all'"},
		{"all != 'x'", "all != 'x'"},
		{"has(has)", "has(has)"},
		{"starts starts with 'x'", "starts starts with 'x'"},
		{"a.b/c-d_E9 == 'x'", "a.b/c-d_E9 == 'x'"},
		{"has(-/._)", "has(-/._)"},
	} {
		got, err := Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if got.String() != c.want {
			t.Errorf("Parse(%q) = %q, want %q", c.in, got, c.want)
		}
		if again := mustParse(t, got.String()); !reflect.DeepEqual(again, got) {
			t.Errorf("Parse(%q) is %#v, not what its text came from", got, again)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct {
		in  string
		pos int
		msg string
	}{
		{"a", 1, "want =="},
		{"a b", 2, `found "b"`},
		{"a ==", 4, "found the end, want a string"},
		{"a == b", 5, "want a string"},
		{"a == 'b", 5, "no closing '"},
		{"a == 'b'b'", 8, `found "b", want &&`},
		{"a = 'b'", 2, "no part of the selector language"},
		{"a == 'b' & b == 'c'", 9, "no part"},
		{"é == 'b'", 0, "'é'"},
		{"a == 'b' &&", 11, "want a label key"},
		{"&& a == 'b'", 0, "want a label key"},
		{"(a == 'b'", 9, "want )"},
		{"a == 'b')", 8, "want &&"},
		{"()", 1, "want a label key"},
		{"has()", 4, "want a label key"},
		{"has(a", 5, "want )"},
		{"has('a')", 4, "want a label key"},
		{"all(a)", 4, "want )"},
		{"any()", 0, "any() is no function"},
		{"a in 'b'", 5, "want {"},
		{"a in {'b' 'c'}", 10, "want a string in quotes or }"},
		{"a in {,}", 6, "want a string"},
		{"a in {b}", 6, "want a string"},
		{"a not 'b'", 6, `"in" after "not"`},
		{"a starts 'b'", 9, `"with" after "starts"`},
		{"a 'b'", 2, "found a string, want =="},
		{"!", 1, "want a label key"},
		{strings.Repeat("k", MaxKeyLength+1) + " == 'x'", 0, "513 bytes"},
		{"has(" + strings.Repeat("k", MaxKeyLength+1) + ")", 4, "513 bytes"},
		{strings.Repeat(" ", MaxLength+1), MaxLength, "8193 bytes"},
		{strings.Repeat("(", MaxDepth+1) + "all()" + strings.Repeat(")", MaxDepth+1), MaxDepth, "deeper than 64"},
		{strings.Repeat("!(", MaxDepth/2) + "!all()" + strings.Repeat(")", MaxDepth/2), MaxDepth, "deeper than 64"},
	} {
		_, err := Parse(c.in)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Parse(%.40q) = %v, want a *SyntaxError", c.in, err)
			continue
		}
		if syntax.Pos != c.pos || !strings.Contains(syntax.Msg, c.msg) {
			t.Errorf("Parse(%.40q): at %d %q, want at %d %q", c.in, syntax.Pos, syntax.Msg, c.pos, c.msg)
		}
	}
}

func TestLimitsAreAllowed(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", MaxDepth) + "all()" + strings.Repeat(")", MaxDepth),
		strings.Repeat("!", MaxLength-len("all()")) + "all()",
		"has(" + strings.Repeat("k", MaxKeyLength) + ")",
	} {
		mustParse(t, text)
	}
}

// R61: absent labels.
func TestMatch(t *testing.T) {
	labels := Map{"a": "xyz", "empty": ""}
	for _, c := range []struct {
		text string
		want bool
	}{
		{"all()", true}, {"global()", true}, {"!all()", false}, {"", true},
		{"a == 'xyz'", true}, {"a == 'xy'", false}, {"b == 'xyz'", false}, {"b == ''", false}, {"empty == ''", true},
		{"a != 'xyz'", false}, {"a != 'xy'", true}, {"b != 'xyz'", true}, {"b != ''", true}, {"empty != ''", false},
		{"a in {'1', 'xyz'}", true}, {"a in {'1', '2'}", false}, {"b in {'1', 'xyz'}", false}, {"a in {}", false},
		{"a not in {'1', 'xyz'}", false}, {"a not in {'1', '2'}", true}, {"b not in {'1', '2'}", true}, {"a not in {}", true},
		{"a contains 'y'", true}, {"a contains ''", true}, {"a contains 'q'", false}, {"b contains ''", false},
		{"a starts with 'xy'", true}, {"a starts with 'y'", false}, {"b starts with ''", false},
		{"a ends with 'yz'", true}, {"a ends with 'y'", false}, {"b ends with ''", false},
		{"!b ends with ''", true}, {"!a ends with 'z'", false},
		{"has(a)", true}, {"has(b)", false}, {"!has(b)", true}, {"has(empty)", true},
		{"has(a) && has(b)", false}, {"has(a) || has(b)", true}, {"has(b) || has(c)", false},
		{"has(a) || has(b) && has(c)", true}, {"(has(a) || has(b)) && has(c)", false},
		{"!(has(a) && has(b))", true},
	} {
		if got := mustParse(t, c.text).Match(labels); got != c.want {
			t.Errorf("%q matches %v: %t, want %t", c.text, labels, got, c.want)
		}
	}
}

func TestConstructors(t *testing.T) {
	a, b := Equals("a", "1"), Has("b")
	for _, c := range []struct {
		got  *Selector
		want string
	}{
		{All(), "all()"},
		{In("a", "2", "1", "2"), "a in {'1', '2'}"},
		{In("a"), "a in {}"},
		{NotIn("a", "1"), "a != '1'"},
		{And(), "all()"},
		{And(a), "a == '1'"},
		{And(a, And(b, a)), "a == '1' && has(b) && a == '1'"},
		{And(a, nil), "a == '1' && none in {}"},
		{Or(), "none in {}"},
		{Or(nil, a), "a == '1'"},
		{Or(a, And(b, Or(a, b)), Or(b, a)), "a == '1' || has(b) && (a == '1' || has(b)) || has(b) || a == '1'"},
		{Not(And(a, b)), "!(a == '1' && has(b))"},
		{Not(nil), "all()"},
		{Not(In("a")), "a not in {}"},
		{Equals("a", `'"`), `a == \"'\""`},
	} {
		if c.got.String() != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	values := []string{"2", "1"}
	In("a", values...)
	if values[0] != "2" {
		t.Error("In sorted its caller's slice")
	}
}

func TestNil(t *testing.T) {
	for name, s := range map[string]*Selector{"nil": nil, "zero": {}} {
		if s.String() != "" || s.Match(Map{"none": ""}) || s.UsesAll() || s.UsesGlobal() || len(s.WithKeyPrefix("p").Keys()) > 0 ||
			s.ReplaceAll(All()).Match(Map{}) || s.ReplaceGlobal(All()).Match(Map{}) {
			t.Errorf("the %s selector matches or says something", name)
		}
		if r := s.Requirements(); len(r) != 1 || r[0].Values == nil || len(r[0].Values) != 0 {
			t.Errorf("the %s selector's requirements %v can be fulfilled", name, r)
		}
		if And(All(), s).Match(Map{}) || Or(s).Match(Map{}) || !Not(s).Match(Map{}) || All().ReplaceAll(s).Match(Map{}) {
			t.Errorf("the %s selector as operand matches something", name)
		}
	}
	if (*Selector)(nil).Equal(All()) || !All().Equal(mustParse(t, "")) {
		t.Error("Equal mixes up nil and all()")
	}
}

// R62, R63.
func TestRewrite(t *testing.T) {
	inNamespace := Has("projectcalico.org/namespace")
	for _, c := range []struct {
		in   string
		do   func(*Selector) *Selector
		want string
	}{
		{"a == '1' && !has(b) || all()", func(s *Selector) *Selector { return s.WithKeyPrefix("pcns.") }, "pcns.a == '1' && !has(pcns.b) || all()"},
		{"a in {'1', '2'} || b not in {'1', '2'} || c contains 'x' || d starts with 'x' || e ends with 'x'",
			func(s *Selector) *Selector { return s.WithKeyPrefix("p.") },
			"p.a in {'1', '2'} || p.b not in {'1', '2'} || p.c contains 'x' || p.d starts with 'x' || p.e ends with 'x'"},
		{"all()", func(s *Selector) *Selector { return s.ReplaceAll(inNamespace) }, "has(projectcalico.org/namespace)"},
		{"!all() || a == 'all()'", func(s *Selector) *Selector { return s.ReplaceAll(inNamespace) }, "!has(projectcalico.org/namespace) || a == 'all()'"},
		{"global() && all()", func(s *Selector) *Selector { return s.ReplaceAll(inNamespace) }, "global() && has(projectcalico.org/namespace)"},
		{"global() || a == '1'", func(s *Selector) *Selector { return s.ReplaceGlobal(Not(inNamespace)) }, "!has(projectcalico.org/namespace) || a == '1'"},
		{"!all()", func(s *Selector) *Selector { return s.ReplaceAll(Equals("a", "1")) }, "a != '1'"},
		{"a == '1' && all()", func(s *Selector) *Selector { return s.ReplaceAll(mustParse(t, "has(b) && has(c)")) }, "a == '1' && has(b) && has(c)"},
	} {
		s := mustParse(t, c.in)
		if got := c.do(s); got.String() != c.want {
			t.Errorf("%q became %q, want %q", c.in, got, c.want)
		}
		if s.String() != mustParse(t, c.in).String() {
			t.Errorf("%q changed", c.in)
		}
	}
}

func TestPredicatesAndKeys(t *testing.T) {
	for _, c := range []struct {
		text        string
		all, global bool
		keys        []string
	}{
		{"", true, false, nil},
		{"b == '1' && !(has(a) || b != '2')", false, false, []string{"a", "b"}},
		{"has(a) && !(has(b) || global())", false, true, []string{"a", "b"}},
		{"!all() && a == 'global()'", true, false, []string{"a"}},
	} {
		s := mustParse(t, c.text)
		if s.UsesAll() != c.all || s.UsesGlobal() != c.global || !reflect.DeepEqual(s.Keys(), c.keys) {
			t.Errorf("%q: all %t, global %t, keys %v", c.text, s.UsesAll(), s.UsesGlobal(), s.Keys())
		}
	}
}

func TestRequirements(t *testing.T) {
	for _, c := range []struct {
		text string
		want []Requirement
	}{
		{"all()", nil},
		{"!has(a)", nil},
		{"a != '1'", nil},
		{"!(a == '1' && b == '2')", nil},
		{"has(a)", []Requirement{{"a", nil}}},
		{"a contains '1'", []Requirement{{"a", nil}}},
		{"a in {'2', '1'}", []Requirement{{"a", []string{"1", "2"}}}},
		{"a in {}", []Requirement{{"a", []string{}}}},
		{"a in {} || a in {}", []Requirement{{"a", []string{}}}},
		{"a == '1' && b == '2' && c != '3'", []Requirement{{"a", []string{"1"}}, {"b", []string{"2"}}}},
		{"has(a) && a in {'1', '2'} && a in {'2', '3'}", []Requirement{{"a", []string{"2"}}}},
		{"a == '1' && a == '2'", []Requirement{{"a", []string{}}}},
		{"a == '1' || a == '2' || a == '1'", []Requirement{{"a", []string{"1", "2"}}}},
		{"a == '1' || has(a)", []Requirement{{"a", nil}}},
		{"a == '1' || b == '1'", nil},
		{"a == '1' || all()", nil},
		{"a == '1' && c == '3' || b == '1' && c == '4'", []Requirement{{"c", []string{"3", "4"}}}},
		{"(a == '1' || a == '2') && b == '1'", []Requirement{{"a", []string{"1", "2"}}, {"b", []string{"1"}}}},
	} {
		if got := mustParse(t, c.text).Requirements(); !reflect.DeepEqual(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%q requires %#v, want %#v", c.text, got, c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	type object struct{ A, B, C *Selector }
	in := object{A: mustParse(t, "a in {'x','y'} && !has(b)"), B: &Selector{}}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(raw, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%s became %+v, %v", raw, out, err)
	}
	if err := json.Unmarshal([]byte(`{"A": "a ="}`), &out); err == nil || !out.A.Equal(in.A) {
		t.Errorf("a wrong text gave %v, %v", out.A, err)
	}
}

func TestValidKey(t *testing.T) {
	for key, want := range map[string]bool{
		"a": true, "projectcalico.org/name": true, "": false, "a b": false, "a=": false, "ä": false,
		strings.Repeat("k", MaxKeyLength): true, strings.Repeat("k", MaxKeyLength+1): false,
	} {
		if ValidKey(key) != want {
			t.Errorf("ValidKey(%.20q) is not %t", key, want)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	s := mustParse(b, "app == 'web' && tier in {'a', 'b', 'c'} && !has(legacy)")
	labels := Map{"app": "web", "tier": "c", "zone": "1"}
	b.ReportAllocs()
	for b.Loop() {
		if !s.Match(labels) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("app == 'web' && tier in {'a', 'b', 'c'} && !has(legacy)"); err != nil {
			b.Fatal(err)
		}
	}
}
