package nft

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/model"
)

// defaultMarkMask is nftablesMarkMask's default.
const defaultMarkMask = 0xffff0000

// passMark is the packet mark that a rule with action Pass leaves for the chain that jumped to its policy. It is cleared
// when the next tier, or the profiles, begin, so it is never set on a packet that leaves our chains.
func passMark(mask uint32) uint32 { return mask & -mask }

// CutMark is the conntrack mark that says of a flow that it was cut: the topmost bit of the mark mask.
func CutMark(mask uint32) uint32 {
	if mask == 0 {
		mask = defaultMarkMask
	}
	return 1 << (bits.Len32(mask) - 1)
}

func setPass(bit uint32) nftnl.Expr {
	return slices.Concat(nftnl.LoadMeta(nftnl.MetaMark, nftnl.Reg),
		nftnl.Bitwise(nftnl.Reg, nftnl.HostU32(^bit), nftnl.HostU32(bit)), nftnl.SetMeta(nftnl.MetaMark, nftnl.Reg))
}

func clearPass(bit uint32) nftnl.Expr {
	return slices.Concat(nftnl.LoadMeta(nftnl.MetaMark, nftnl.Reg),
		nftnl.Bitwise(nftnl.Reg, nftnl.HostU32(^bit), nftnl.HostU32(0)), nftnl.SetMeta(nftnl.MetaMark, nftnl.Reg))
}

func passed(bit uint32) nftnl.Expr {
	return slices.Concat(nftnl.LoadMeta(nftnl.MetaMark, nftnl.Reg),
		nftnl.Bitwise(nftnl.Reg, nftnl.HostU32(bit), nftnl.HostU32(0)), nftnl.Compare(nftnl.Reg, nftnl.NotEqual, nftnl.HostU32(0)))
}

func decide(code nftnl.VerdictCode) nftnl.Expr { return nftnl.Decide(nftnl.Verdict{Code: code}) }

func jump(chain string) nftnl.Expr {
	return nftnl.Decide(nftnl.Verdict{Code: nftnl.Jump, Chain: chain})
}

func (p *Plane) deny() nftnl.Expr {
	if p.host.DenyReject {
		return nftnl.RejectPortUnreachable()
	}
	return decide(nftnl.Drop)
}

// owner is whose rules a chain holds, for comments and log prefixes.
type owner struct {
	tier, kind, name string // name with its namespace
	profile          bool
}

// rulesChain renders the rules of a policy or profile in one direction.
func (p *Plane) rulesChain(o owner, dir model.Direction, rules []intent.Rule) *chain {
	c := &chain{}
	for i := range rules {
		p.addRule(c, o, dir, &rules[i])
	}
	return c
}

func (p *Plane) addRule(c *chain, o owner, dir model.Direction, r *intent.Rule) {
	m := match(r, p.shape)
	if m.missing {
		// A set that does not exist must not open anything: what allows or passes on matches nothing, and a Deny
		// matches without the set.
		if r.Action != model.Deny {
			return
		}
		m = match(withoutMissing(r, p.shape), p.shape)
	}
	for _, k := range m.uses {
		if !slices.ContainsFunc(c.uses, func(have *constant) bool { return have.spec.Name == k.spec.Name }) {
			c.uses = append(c.uses, k)
		}
	}
	label := o.kind + "/" + o.name + " " + dir.String() + " " + strconv.Itoa(r.Index)
	if r.Action == model.Log && m.overlap {
		p.addLogOnce(c, o, label, r, m.variants)
		return
	}
	for _, v := range m.variants {
		c.rules = append(c.rules, rule{match: v, action: p.action(o, r), label: label, id: r.ID})
	}
}

// addLogOnce renders a Log rule of several variants that a packet may match more than one of, so that it is logged and
// counted once: the variants set the mark, and one rule logs what has it. The mark is the one for Pass, which is not set
// while a policy's rules are being tried.
func (p *Plane) addLogOnce(c *chain, o owner, label string, r *intent.Rule, variants []nftnl.Expr) {
	bit := passMark(p.markMask())
	for _, v := range variants {
		c.rules = append(c.rules, rule{match: v, action: setPass(bit), label: label + " match", plain: true})
	}
	c.rules = append(c.rules,
		rule{match: passed(bit), action: p.action(o, r), label: label, id: r.ID},
		rule{action: clearPass(bit), label: label + " end", plain: true})
}

func (p *Plane) action(o owner, r *intent.Rule) nftnl.Expr {
	switch r.Action {
	case model.Allow:
		return decide(nftnl.Accept)
	case model.Pass:
		if o.profile { // R55
			return decide(nftnl.Return)
		}
		return slices.Concat(setPass(passMark(p.markMask())), decide(nftnl.Return))
	case model.Log:
		return p.log(o)
	}
	return p.deny()
}

// logLevel is syslog's notice.
const logLevel = 5

func (p *Plane) log(o owner) nftnl.Expr {
	prefix := p.host.LogPrefix
	if prefix == "" {
		prefix = "calico-packet"
	}
	_, short, found := strings.Cut(o.name, "/")
	if !found {
		short = o.name
	}
	prefix = strings.NewReplacer("%t", o.tier, "%k", o.kind, "%n", short, "%p", o.name).Replace(prefix) + ": " // R32
	log := nftnl.Log(prefix, logLevel)
	if rate, unit, ok := parseRate(p.host.LogRate); ok {
		burst := p.host.LogBurst
		if burst <= 0 {
			burst = 5
		}
		return slices.Concat(nftnl.Limit(rate, unit, uint32(burst)), log)
	}
	return log
}

func parseRate(text string) (rate, unit uint64, ok bool) {
	number, per, ok := strings.Cut(text, "/")
	if !ok {
		return 0, 0, false
	}
	rate, err := strconv.ParseUint(number, 10, 64)
	units := map[string]uint64{"second": 1, "minute": 60, "hour": 3600, "day": 86400}
	return rate, units[per], err == nil && rate > 0 && units[per] > 0
}

// withoutMissing is the rule without the sets that do not exist.
func withoutMissing(r *intent.Rule, sets shapes) *intent.Rule {
	out := *r
	for _, e := range []*intent.Entity{&out.Src, &out.Dst} {
		keep := func(ids []intent.SetID, want intent.SetType) []intent.SetID {
			return slices.DeleteFunc(slices.Clone(ids), func(id intent.SetID) bool {
				shape, ok := sets(id)
				return !ok || shape.typ != want
			})
		}
		if portSets := keep(e.PortSets, intent.SetAddrPorts); len(portSets) < len(e.PortSets) {
			e.Ports, portSets = nil, nil // an alternative is unknown: any port
			e.PortSets = portSets
		}
		e.Sets, e.NotSets = keep(e.Sets, intent.SetAddrs), keep(e.NotSets, intent.SetAddrs)
		e.NotPortSets = keep(e.NotPortSets, intent.SetAddrPorts)
	}
	return &out
}

// hasPass tells whether a packet can come back from a policy's chain with the mark of Pass.
func hasPass(rules []intent.Rule) bool {
	return slices.ContainsFunc(rules, func(r intent.Rule) bool { return r.Action == model.Pass })
}

// setsOf is every set that rules name.
func setsOf(rules []intent.Rule) map[intent.SetID]struct{} {
	out := make(map[intent.SetID]struct{})
	for i := range rules {
		for _, e := range []*intent.Entity{&rules[i].Src, &rules[i].Dst} {
			for _, ids := range [][]intent.SetID{e.Sets, e.NotSets, e.PortSets, e.NotPortSets} {
				for _, id := range ids {
					out[id] = struct{}{}
				}
			}
		}
	}
	return out
}

// groupKey identifies what endpoints with the same policies and profiles in a direction share.
func groupKey(dir model.Direction, tiers []intent.Tier, profiles []string) (key string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%v", dir)
	for _, t := range tiers {
		if ids := policiesOf(t, dir); len(ids) > 0 {
			fmt.Fprintf(&b, "\x00tier %q %v %q", t.Name, t.DefaultAction, ids)
		}
	}
	fmt.Fprintf(&b, "\x00%q", profiles)
	return b.String()
}

func policiesOf(t intent.Tier, dir model.Direction) []string {
	if dir == model.Ingress {
		return t.Ingress
	}
	return t.Egress
}
