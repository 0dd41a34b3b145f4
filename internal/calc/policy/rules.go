package policy

import (
	"hash/fnv"
	"strconv"

	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// Specs are the sets that rules refer to.
type Specs map[intent.SetID]ipset.Spec

// Compile makes of a policy what nodes get, and adds the sets that it needs to specs.
func Compile(p *model.Policy, specs Specs) *intent.Policy {
	o := &intent.Policy{
		ID: p.Key.String(), Key: p.Key, UID: p.UID, Tier: p.Tier, Order: p.Order, Staged: p.Staged, Invalid: p.Invalid,
	}
	owner := p.UID
	if owner == "" {
		owner = o.ID
	}
	if p.AppliesIngress {
		o.Ingress = compileRules(owner, model.Ingress, isolated(p, p.Ingress), specs)
	}
	if p.AppliesEgress {
		o.Egress = compileRules(owner, model.Egress, isolated(p, p.Egress), specs)
	}
	return o
}

// isolated is the rules, or the one Deny of a policy that cannot be used as it stands.
func isolated(p *model.Policy, rules []model.Rule) []model.Rule {
	if p.Invalid != "" {
		return []model.Rule{{Action: model.Deny}}
	}
	return rules
}

// CompileProfile does the same for a profile. nil: nobody has defined it, its rules are one Deny each way (R54).
func CompileProfile(name string, p *model.Profile, specs Specs) *intent.Profile {
	o := &intent.Profile{ID: name, Missing: p == nil}
	owner := string(model.KindProfile) + "/" + name
	if p == nil {
		deny := []model.Rule{{Action: model.Deny}}
		p = &model.Profile{Ingress: deny, Egress: deny}
	}
	o.Ingress = compileRules(owner, model.Ingress, p.Ingress, specs)
	o.Egress = compileRules(owner, model.Egress, p.Egress, specs)
	return o
}

// RuleID numbers a rule: FNV-1a 64 of "owner/direction/index".
func RuleID(owner string, direction model.Direction, index int) intent.RuleID {
	h := fnv.New64a()
	h.Write([]byte(owner + "/" + direction.String() + "/" + strconv.Itoa(index)))
	return intent.RuleID(h.Sum64())
}

func compileRules(owner string, direction model.Direction, rules []model.Rule, specs Specs) []intent.Rule {
	if len(rules) == 0 {
		return nil
	}
	out := make([]intent.Rule, len(rules))
	for i := range rules {
		r := &rules[i]
		out[i] = intent.Rule{
			ID: RuleID(owner, direction, i), Action: r.Action, IPVersion: r.IPVersion, Protocol: r.Protocol,
			NotProtocol: r.NotProtocol, ICMP: r.ICMP, NotICMP: r.NotICMP, Index: i, Annotations: r.Annotations,
			Src: compileEntity(&r.Src, r.Protocol, intent.SetAddrs, specs),
			Dst: compileEntity(&r.Dst, r.Protocol, intent.SetAddrPorts, specs),
		}
	}
	return out
}

// compileEntity turns one side's selectors, named ports and service into sets. service is the shape of a service's set:
// its addresses for a source, its addresses and ports for a destination (R70).
func compileEntity(e *model.Entity, protocol uint8, service intent.SetType, specs Specs) intent.Entity {
	o := intent.Entity{Nets: e.Nets, NotNets: e.NotNets}
	var named bool
	o.Ports, o.PortSets, named = ports(e.Ports, e.Selector, protocol, specs)
	o.NotPorts, o.NotPortSets, _ = ports(e.NotPorts, e.Selector, protocol, specs)

	// Where every port is a name, the sets of ports are already those of the selected endpoints (R81, R85).
	if e.Selector != nil && (!named || len(o.Ports) > 0) {
		o.Sets = append(o.Sets, specs.add(ipset.Spec{Type: intent.SetAddrs, Selector: e.Selector}))
	}
	if e.NotSelector != nil {
		o.NotSets = append(o.NotSets, specs.add(ipset.Spec{Type: intent.SetAddrs, Selector: e.NotSelector}))
	}
	if e.Service != nil {
		id := specs.add(ipset.Spec{Type: service, Service: *e.Service})
		if service == intent.SetAddrs {
			o.Sets = append(o.Sets, id)
		} else {
			o.PortSets = append(o.PortSets, id)
		}
	}
	return o
}

// ports splits a list into ranges and, for the names, sets of the positively selected endpoints' ports of that name
// (R81, R84), of the rule's protocol or of any (R82).
func ports(list []model.Port, positive *selector.Selector, protocol uint8, specs Specs) (
	ranges []intent.PortRange, sets []intent.SetID, named bool,
) {
	if positive == nil {
		positive = selector.All()
	}
	for _, p := range list {
		if p.Name == "" {
			ranges = append(ranges, intent.PortRange{Min: p.Min, Max: p.Max})
			continue
		}
		named = true
		sets = append(sets, specs.add(ipset.Spec{
			Type: intent.SetAddrPorts, Selector: positive, Port: p.Name, Protocol: protocol,
		}))
	}
	return ranges, sets, named
}

func (s Specs) add(spec ipset.Spec) intent.SetID {
	id := spec.ID()
	s[id] = spec
	return id
}
