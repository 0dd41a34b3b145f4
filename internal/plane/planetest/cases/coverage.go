package cases

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/policy"
)

// Coverage counts what decided about packets: which rules of the specification, fields, actions, families, directions. A
// nil Coverage counts nothing.
type Coverage struct {
	counts   map[string]int
	packets  int
	universe *Universe
	policies map[string]*model.Policy
	authored map[string]*Policy
	profiles map[string]*model.Profile
}

// NewCoverage is an empty Coverage.
func NewCoverage() *Coverage { return &Coverage{counts: map[string]int{}} }

// Universe says of which universe the next packets are.
func (c *Coverage) Universe(u *Universe) {
	if c == nil {
		return
	}
	c.universe = u
	c.policies, c.authored, c.profiles = map[string]*model.Policy{}, map[string]*Policy{}, map[string]*model.Profile{}
	for _, o := range u.Updates {
		switch v := o.Value.(type) {
		case *model.Policy:
			c.policies[o.Key.String()] = v
		case *model.Profile:
			c.profiles[v.Name] = v
		}
	}
	for _, p := range u.Authored {
		c.authored[p.Key.String()] = p
	}
}

// decision is one packet's way through an endpoint's policy.
type decision struct {
	Probe
	verdict model.Verdict
	steps   []policy.Step
	tiers   []intent.Tier // of the endpoint, as calc orders them
}

// Add counts one packet: its verdict, the steps that led to it, and the tiers of its endpoint.
func (c *Coverage) Add(p Probe, v model.Verdict, steps []policy.Step, tiers []intent.Tier) {
	if c == nil {
		return
	}
	c.packets++
	seen := map[string]bool{}
	count := func(format string, args ...any) {
		if what := fmt.Sprintf(format, args...); !seen[what] {
			seen[what] = true
			c.counts[what]++
		}
	}
	d := &decision{p, v, steps, tiers}
	verdict := "deny"
	if v.Allowed {
		verdict = "allow"
	}
	count("verdict %s", verdict)
	count("direction %v %s", p.Direction, verdict)
	count("family IPv%d %s", 4+2*familyOf(p.Packet.Src), verdict)
	for _, s := range steps {
		r := c.rule(s, p.Direction)
		if s.Matched {
			count("action %s", s.Note)
		}
		if r == nil {
			continue
		}
		c.fields(r, s, count)
		if s.Matched || strings.Contains(s.Note, "elector") {
			c.selectors(r, s, p, count)
		}
	}
	c.numbers(d, count)
}

// rule is the rule that a step is about, or nil.
func (c *Coverage) rule(s policy.Step, dir model.Direction) *model.Rule {
	var rules []model.Rule
	if p := c.policies[s.Policy]; p != nil && p.Invalid == "" {
		rules = p.Ingress
		if dir == model.Egress {
			rules = p.Egress
		}
	} else if p := c.profiles[s.Profile]; p != nil && s.Policy == "" {
		rules = p.Ingress
		if dir == model.Egress {
			rules = p.Egress
		}
	}
	if s.Rule < 0 || s.Rule >= len(rules) {
		return nil
	}
	return &rules[s.Rule]
}

// The fields of a rule. Each must let packets through to the rule's action and keep packets from it.
var ruleFields = []string{"ipVersion", "protocol", "notProtocol", "icmp type", "icmp code", "notICMP type", "notICMP code"}

// The fields of one side.
var sideFields = []string{
	"nets", "notNets", "selector", "notSelector", "ports number", "ports range", "ports name", "notPorts number", "notPorts range",
	"notPorts name", "service",
}

// fields counts the fields that a matching rule has, and the one that a packet failed.
func (c *Coverage) fields(r *model.Rule, s policy.Step, count func(string, ...any)) {
	result, only := "matched", ""
	if !s.Matched {
		result, only = "failed", s.Note
	}
	say := func(has bool, field, note string) {
		if has && (s.Matched || only == note) {
			count("field %s %s", field, result)
		}
	}
	say(r.IPVersion != 0, "ipVersion", "ipVersion")
	say(r.Protocol != 0, "protocol", "protocol")
	say(r.NotProtocol != 0, "notProtocol", "notProtocol")
	say(r.ICMP.Set, "icmp type", "icmp")
	say(r.ICMP.HasCode, "icmp code", "icmp")
	say(r.NotICMP.Set, "notICMP type", "notICMP")
	say(r.NotICMP.HasCode, "notICMP code", "notICMP")
	for _, side := range []struct {
		name string
		e    *model.Entity
	}{{"source", &r.Src}, {"destination", &r.Dst}} {
		e, n := side.e, side.name+" "
		say(len(e.Nets) > 0, n+"nets", n+"nets")
		say(len(e.NotNets) > 0, n+"notNets", n+"notNets")
		say(e.Selector != nil, n+"selector", n+"selector")
		say(e.NotSelector != nil, n+"notSelector", n+"notSelector")
		say(e.Service != nil, n+"service", n+"service")
		for _, form := range []string{"number", "range", "name"} {
			is := func(p model.Port) bool { return portForm(p) == form }
			say(slices.ContainsFunc(e.Ports, is), n+"ports "+form, n+"ports")
			say(slices.ContainsFunc(e.NotPorts, is), n+"notPorts "+form, n+"notPorts")
		}
	}
	if !s.Matched && s.Note == "family of the nets" {
		count("number R90 nets of the other family")
	}
}

func portForm(p model.Port) string {
	switch {
	case p.Name != "":
		return "name"
	case p.Min == p.Max:
		return "number"
	}
	return "range"
}

// The shapes of selectors.
var selectorShapes = []string{"==", "!=", " in {", " not in {", "contains", "starts with", "ends with", "has(", "!has(", "&&", "||", "all()"}

// selectors counts the shapes of selectors that decided, and whose address they decided about.
func (c *Coverage) selectors(r *model.Rule, s policy.Step, p Probe, count func(string, ...any)) {
	for _, side := range []struct {
		name string
		e    *model.Entity
		addr netip.Addr
	}{{"source", &r.Src, p.Packet.Src}, {"destination", &r.Dst, p.Packet.Dst}} {
		text := side.e.Selector.String() + side.e.NotSelector.String()
		if text == "" || !s.Matched && !strings.HasPrefix(s.Note, side.name) {
			continue
		}
		for _, shape := range selectorShapes {
			if strings.Contains(text, shape) {
				count("selector %s", strings.TrimSpace(shape))
			}
		}
		if reason := c.universe.Doubtful[side.addr]; reason != "" {
			count("number %s", reason)
		}
	}
}

// Lacks names what was counted less than least times, and a share of allowed packets that is not 30 to 70 %.
func (c *Coverage) Lacks(least int) []string {
	var lacks []string
	for _, what := range expected() {
		if n := c.counts[what]; n < least {
			lacks = append(lacks, fmt.Sprintf("%s: %d times, must be %d", what, n, least))
		}
	}
	if share := c.share(); share < 30 || share > 70 {
		lacks = append(lacks, fmt.Sprintf("allowed: %.0f %%, must be 30 to 70", share))
	}
	return lacks
}

func (c *Coverage) share() float64 {
	return 100 * float64(c.counts["verdict allow"]) / float64(max(c.packets, 1))
}

// expected is everything that is counted.
func expected() []string {
	var all []string
	for _, verdict := range []string{"allow", "deny"} {
		all = append(all, "verdict "+verdict, "direction ingress "+verdict, "direction egress "+verdict, "family IPv4 "+verdict, "family IPv6 "+verdict)
	}
	for _, a := range []model.Action{model.Allow, model.Deny, model.Pass, model.Log} {
		all = append(all, "action "+a.String())
	}
	fields := slices.Clone(ruleFields)
	for _, f := range sideFields {
		fields = append(fields, "source "+f, "destination "+f)
	}
	for _, f := range fields {
		all = append(all, "field "+f+" matched", "field "+f+" failed")
	}
	for _, s := range selectorShapes {
		all = append(all, "selector "+strings.TrimSpace(s))
	}
	for _, n := range numbered {
		all = append(all, "number "+n)
	}
	return all
}

// String is a table of the counts.
func (c *Coverage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%8d packets, %.1f %% allowed\n", c.packets, c.share())
	for _, what := range expected() {
		if field, isField := strings.CutSuffix(what, " matched"); isField {
			fmt.Fprintf(&b, "%8d matched %8d failed  %s\n", c.counts[what], c.counts[field+" failed"], field)
		} else if !strings.HasSuffix(what, " failed") {
			fmt.Fprintf(&b, "%8d  %s\n", c.counts[what], what)
		}
	}
	return b.String()
}
