package nft

import (
	"fmt"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/model"
)

// group is a chain that endpoints with the same tiers and profiles in a direction share.
type group struct {
	chain     string
	dir       model.Direction
	tiers     []intent.Tier
	profiles  []string
	endpoints int
	parts     []string // chains of tiers beside the group's own
}

// groupName is readable: the first policy, or profile, that decides.
func groupName(dir model.Direction, key string, tiers []intent.Tier, profiles []string) string {
	first := "deny"
	if len(profiles) > 0 {
		first = profiles[0]
	}
	for _, t := range tiers {
		if ids := policiesOf(t, dir); len(ids) > 0 {
			_, first, _ = strings.Cut(ids[0], "/")
			break
		}
	}
	prefix := "to/"
	if dir == model.Egress {
		prefix = "from/"
	}
	if len(first) > 60 {
		first = first[:60]
	}
	return prefix + word(first) + "-" + digest(16, key)
}

// join makes an endpoint use the group for these tiers and profiles, which begins to exist if need be.
func (p *Plane) join(dir model.Direction, tiers []intent.Tier, profiles []string) *group {
	key := groupKey(dir, tiers, profiles)
	name := groupName(dir, key, tiers, profiles)
	g := p.groups[name]
	if g == nil {
		g = &group{chain: name, dir: dir, tiers: tiers, profiles: profiles}
		p.groups[name] = g
		p.dirtyGroups[g] = struct{}{}
		for _, t := range tiers {
			for _, id := range policiesOf(t, dir) {
				p.policy(id).use(p, dir, g)
			}
		}
		for _, id := range profiles {
			p.profile(id).use(p, dir, g)
		}
	}
	g.endpoints++
	return g
}

// leave ends an endpoint's use of the group; with the last it goes.
func (p *Plane) leave(g *group) {
	if g == nil {
		return
	}
	if g.endpoints--; g.endpoints > 0 {
		return
	}
	delete(p.groups, g.chain)
	delete(p.dirtyGroups, g)
	p.rules.forgetChain(g.chain)
	for _, part := range g.parts {
		p.rules.forgetChain(part)
	}
	for _, t := range g.tiers {
		for _, id := range policiesOf(t, g.dir) {
			p.policy(id).release(p, g.dir, g)
		}
	}
	for _, id := range g.profiles {
		p.profile(id).release(p, g.dir, g)
	}
}

// renderGroup makes a group's chains: what holds for every flow, the tiers (R22 to R25), the profiles (R53), the end.
func (p *Plane) renderGroup(g *group) {
	c := &chain{}
	var parts []string
	head := chainFlowTo
	if g.dir == model.Egress {
		head = chainFlowFrom
	}
	c.rules = append(c.rules, p.established(), rule{action: jump(head), label: "connections", plain: true})
	bit := passMark(p.markMask())
	marked, ended := false, false
	for i, t := range g.tiers {
		policies, pass := p.enforced(t, g.dir)
		if len(policies) == 0 { // R22, R24
			continue
		}
		if marked {
			c.rules = append(c.rules, rule{action: clearPass(bit), label: "next tier", plain: true})
			marked = false
		}
		end := rule{action: p.deny(), label: fmt.Sprintf("end of tier %s %v", t.Name, g.dir)}
		if t.DefaultAction == model.Pass {
			end.action = nil
		}
		if !pass {
			c.rules = append(append(c.rules, p.jumps(policies, g.dir)...), end)
			if ended = end.action != nil; ended {
				break
			}
			continue
		}
		part := &chain{rules: append(p.jumps(policies, g.dir), end)}
		name := fmt.Sprintf("%s.%d", g.chain, i+1)
		parts = append(parts, name)
		p.rules.desireChain(name, part)
		c.rules = append(c.rules, rule{action: jump(name), label: "tier " + t.Name, plain: true})
		marked = true
	}
	if !ended {
		if marked {
			c.rules = append(c.rules, rule{action: clearPass(bit), label: "profiles", plain: true})
		}
		c.rules = append(c.rules, p.profileRules(g)...)
	}
	p.rules.desireChain(g.chain, c)
	for _, old := range g.parts {
		if !contains(parts, old) {
			p.rules.forgetChain(old)
		}
	}
	g.parts = parts
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// enforced is the policies of a tier that are not staged, and whether one of them may pass.
func (p *Plane) enforced(t intent.Tier, dir model.Direction) (ids []string, pass bool) {
	for _, id := range policiesOf(t, dir) {
		pol := p.policy(id)
		if pol.object != nil && pol.object.Staged != "" {
			continue
		}
		ids = append(ids, id)
		pass = pass || pol.pass[dir]
	}
	return ids, pass
}

func (p *Plane) jumps(ids []string, dir model.Direction) []rule {
	var out []rule
	for _, id := range ids {
		pol := p.policy(id)
		if pol.object == nil { // fail closed: what it would deny is not known
			out = append(out, rule{action: p.deny(), label: "policy " + id + " is not known"})
			continue
		}
		out = append(out, rule{action: jump(policyChain(dir, id)), label: "policy " + id, plain: true})
		if pol.pass[dir] {
			out = append(out, rule{match: passed(passMark(p.markMask())), action: decide(nftnl.Return), label: "pass of " + id, plain: true})
		}
	}
	return out
}

func (p *Plane) profileRules(g *group) []rule {
	var out []rule
	for _, id := range g.profiles {
		if pr := p.profile(id); pr.object == nil || pr.object.Missing { // R54
			return append(out, rule{action: p.deny(), label: "profile " + id + " is missing"})
		}
		out = append(out, rule{action: jump(profileChain(g.dir, id)), label: "profile " + id, plain: true})
	}
	return append(out, rule{action: p.deny(), label: fmt.Sprintf("end of profiles %v", g.dir)})
}
