package nft

import (
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/reconcile"
)

// rule is a rule as wanted: what it matches, a counter, and what it then does.
type rule struct {
	match, action nftnl.Expr
	label         string
	id            intent.RuleID
	plain         bool // no counter
	sum           string
}

func (r *rule) comment() string {
	if r.sum == "" {
		r.sum = digest(12, string(r.match), string(r.action), r.label)
	}
	return comment(r.label, r.id, r.sum)
}

// appendTo appends the rule's expressions for the kernel, its counter beginning at the value given.
func (r *rule) appendTo(exprs nftnl.Expr, from Counter) nftnl.Expr {
	exprs = append(exprs, r.match...)
	if !r.plain {
		exprs = append(exprs, nftnl.CountPackets(from.Packets, from.Bytes)...)
	}
	return append(exprs, r.action...)
}

// chain is a chain's content. Of one that was read from the kernel only sum is known.
type chain struct {
	base  *nftnl.Base
	rules []rule
	uses  []*constant
	sum   string
}

// sumOf identifies content: the comments of the rules, in order, hold the hashes.
func sumOf(base *nftnl.Base, accept bool, comments []string) string {
	parts := make([]string, 0, len(comments)+1)
	if base != nil && !accept {
		parts = append(parts, "policy drop")
	}
	return digest(24, append(parts, comments...)...)
}

// constant is a set whose name is a hash of its content, for several nets or ports of one rule.
type constant struct {
	spec     nftnl.Set
	elements []nftnl.Element
	refs     int // chains
}

// set is a set whose elements change. Address and port sets have members, the sets and maps of interfaces have rows.
type set struct {
	spec    nftnl.Set
	kind    kind
	members *reconcile.Tracker[member, struct{}]
	rows    *reconcile.Tracker[string, string] // key → chain of the verdict, or ""
	read    bool                               // the trackers know what the kernel has
	rewrite bool                               // what the kernel has is nothing of ours: empty it first
}

func (s *set) pending() int {
	if s.kind == kindRows {
		return s.rows.NumPending()
	}
	return s.members.NumPending()
}

func (s *set) len() int {
	if s.kind == kindRows {
		return s.rows.Len()
	}
	return s.members.Len()
}

// ruleset is what the table must hold, beside what it holds.
type ruleset struct {
	chains    *reconcile.Tracker[string, *chain]
	shapes    *reconcile.Tracker[string, nftnl.SetShape]
	sets      map[string]*set
	constants map[string]*constant
	touched   map[string]*set // whose elements differ, or are not known
	elements  int             // wanted
}

func newRuleset() ruleset {
	return ruleset{
		chains:    reconcile.New[string](func(a, b *chain) bool { return a.sum == b.sum }),
		shapes:    reconcile.New[string](func(a, b nftnl.SetShape) bool { return a == b }),
		sets:      make(map[string]*set),
		constants: make(map[string]*constant),
		touched:   make(map[string]*set),
	}
}

// desireChain sets a chain's content.
func (rs *ruleset) desireChain(name string, c *chain) {
	comments := make([]string, len(c.rules))
	for i := range c.rules {
		comments[i] = c.rules[i].comment()
	}
	c.sum = sumOf(c.base, true, comments)
	old, _ := rs.chains.Wanted(name)
	for _, k := range c.uses {
		rs.acquire(k)
	}
	rs.release(old)
	rs.chains.Desire(name, c)
}

func (rs *ruleset) forgetChain(name string) {
	old, ok := rs.chains.Wanted(name)
	if !ok {
		return
	}
	rs.release(old)
	rs.chains.Forget(name)
}

func (rs *ruleset) acquire(k *constant) {
	held := rs.constants[k.spec.Name]
	if held == nil {
		held = k
		rs.constants[k.spec.Name] = k
		rs.shapes.Desire(k.spec.Name, k.spec.Shape())
	}
	held.refs++
}

func (rs *ruleset) release(c *chain) {
	if c == nil {
		return
	}
	for _, k := range c.uses {
		held := rs.constants[k.spec.Name]
		if held.refs--; held.refs == 0 {
			delete(rs.constants, k.spec.Name)
			rs.shapes.Forget(k.spec.Name)
		}
	}
}

// addSet makes sure that a set exists, without elements at first.
func (rs *ruleset) addSet(spec nftnl.Set, k kind) *set {
	if s := rs.sets[spec.Name]; s != nil {
		return s
	}
	s := &set{spec: spec, kind: k}
	if k == kindRows {
		s.rows = reconcile.New[string](func(a, b string) bool { return a == b })
	} else {
		s.members = reconcile.New[member](func(struct{}, struct{}) bool { return true })
	}
	rs.sets[spec.Name] = s
	rs.shapes.Desire(spec.Name, spec.Shape())
	rs.touched[spec.Name] = s
	return s
}

func (rs *ruleset) dropSet(name string) {
	if s := rs.sets[name]; s != nil {
		rs.elements -= s.len()
		delete(rs.sets, name)
		delete(rs.touched, name)
		rs.shapes.Forget(name)
	}
}

func (rs *ruleset) desireMember(s *set, m member) {
	rs.elements -= s.members.Len()
	s.members.Desire(m, struct{}{})
	rs.changed(s)
}

func (rs *ruleset) forgetMember(s *set, m member) {
	rs.elements -= s.members.Len()
	s.members.Forget(m)
	rs.changed(s)
}

func (rs *ruleset) desireRow(s *set, key, chain string) {
	rs.elements -= s.rows.Len()
	s.rows.Desire(key, chain)
	rs.changed(s)
}

func (rs *ruleset) forgetRow(s *set, key string) {
	rs.elements -= s.rows.Len()
	s.rows.Forget(key)
	rs.changed(s)
}

func (rs *ruleset) changed(s *set) {
	rs.elements += s.len()
	if s.pending() > 0 || !s.read || s.rewrite {
		rs.touched[s.spec.Name] = s
	} else {
		delete(rs.touched, s.spec.Name)
	}
}

// pending is how many objects and elements differ from what is wanted.
func (rs *ruleset) pending() int {
	n := rs.chains.NumPending() + rs.shapes.NumPending()
	for _, s := range rs.touched {
		n += s.pending()
	}
	return n
}
