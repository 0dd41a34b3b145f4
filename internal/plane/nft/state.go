package nft

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// chainKey names the chain of a policy or profile in one direction.
type chainKey struct {
	profile bool
	id      string
	dir     model.Direction
}

func (k chainKey) chain() string {
	if k.profile {
		return profileChain(k.dir, k.id)
	}
	return policyChain(k.dir, k.id)
}

// holder is what a policy and a profile have in common: groups that jump to their chains, and sets that their rules name.
type holder struct {
	users [2]map[*group]struct{}
	sets  [2]map[intent.SetID]struct{}
}

type policyState struct {
	holder
	id     string
	object *intent.Policy // nil: a group names it, but the intent does not have it
	pass   [2]bool
}

type profileState struct {
	holder
	id     string
	object *intent.Profile
}

// setState is an intent's set. Members that are whole addresses are in the trackers of its kernel sets only.
type setState struct {
	id    intent.SetID
	typ   intent.SetType
	nets  [2]cover // IPv4, IPv6
	kinds [numMemberKinds]*set
	users map[chainKey]struct{}
	known bool // the intent has it
}

type endpointState struct {
	object *intent.LocalEndpoint
	groups [2]*group
}

func (p *Plane) policy(id string) *policyState {
	s := p.policies[id]
	if s == nil {
		s = &policyState{id: id}
		p.policies[id] = s
	}
	return s
}

func (p *Plane) profile(id string) *profileState {
	s := p.profiles[id]
	if s == nil {
		s = &profileState{id: id}
		p.profiles[id] = s
	}
	return s
}

func (p *Plane) set(id intent.SetID) *setState {
	s := p.sets[id]
	if s == nil {
		s = &setState{id: id, users: make(map[chainKey]struct{})}
		p.sets[id] = s
	}
	return s
}

func (h *holder) join(p *Plane, key chainKey, g *group) {
	if h.users[key.dir] == nil {
		h.users[key.dir] = make(map[*group]struct{})
	}
	if len(h.users[key.dir]) == 0 {
		p.dirtyRules[key] = struct{}{}
	}
	h.users[key.dir][g] = struct{}{}
}

func (h *holder) part(p *Plane, key chainKey, g *group) (unused bool) {
	delete(h.users[key.dir], g)
	if len(h.users[key.dir]) == 0 {
		p.dirtyRules[key] = struct{}{}
	}
	return len(h.users[0])+len(h.users[1]) == 0
}

func (s *policyState) use(p *Plane, dir model.Direction, g *group) {
	s.join(p, chainKey{id: s.id, dir: dir}, g)
}

func (s *policyState) release(p *Plane, dir model.Direction, g *group) {
	s.part(p, chainKey{id: s.id, dir: dir}, g)
}

func (s *profileState) use(p *Plane, dir model.Direction, g *group) {
	s.join(p, chainKey{profile: true, id: s.id, dir: dir}, g)
}

func (s *profileState) release(p *Plane, dir model.Direction, g *group) {
	s.part(p, chainKey{profile: true, id: s.id, dir: dir}, g)
}

// take puts one change into the desired state, and marks what must be rendered anew.
func (p *Plane) take(c intent.KernelChange) {
	delete(p.problems, c.Ref.String())
	switch c.Ref.Kind {
	case intent.KindHost:
		host, _ := c.Object.(*intent.Host)
		if host == nil {
			host = &intent.Host{}
		}
		p.takeHost(host)
	case intent.KindSet:
		p.takeSet(c)
	case intent.KindPolicy:
		object, _ := c.Object.(*intent.Policy)
		p.takePolicy(c.Ref.ID, object)
	case intent.KindProfile:
		object, _ := c.Object.(*intent.Profile)
		p.takeProfile(c.Ref.ID, object)
	case intent.KindLocalEndpoint:
		object, _ := c.Object.(*intent.LocalEndpoint)
		p.takeEndpoint(c.Ref.ID, object)
	case intent.KindHostEndpoint:
		if c.Object != nil {
			p.problems[c.Ref.String()] = "host endpoints are not enforced by the nftables plane: traffic of the host itself is not policed"
		}
	}
}

func (p *Plane) takeHost(host *intent.Host) {
	old := p.host
	p.host = *host
	p.dirtyBase = true
	if old.MarkMask != host.MarkMask || old.DenyReject != host.DenyReject || old.LogPrefix != host.LogPrefix ||
		old.LogRate != host.LogRate || old.LogBurst != host.LogBurst {
		for _, s := range p.policies {
			p.dirtyChains(&s.holder, chainKey{id: s.id})
		}
		for _, s := range p.profiles {
			p.dirtyChains(&s.holder, chainKey{profile: true, id: s.id})
		}
		for _, g := range p.groups {
			p.dirtyGroups[g] = struct{}{}
		}
	}
	if old.WorkloadSourceSpoofAny != host.WorkloadSourceSpoofAny {
		for _, e := range p.endpoints {
			p.spoofing(e.object, host.WorkloadSourceSpoofAny)
		}
	}
}

func (p *Plane) dirtyChains(h *holder, key chainKey) {
	for _, dir := range []model.Direction{model.Ingress, model.Egress} {
		if key.dir = dir; len(h.users[dir]) > 0 {
			p.dirtyRules[key] = struct{}{}
		}
	}
}

func (p *Plane) dirtyUsers(h *holder) {
	for _, users := range h.users {
		for g := range users {
			p.dirtyGroups[g] = struct{}{}
		}
	}
}

func (p *Plane) takePolicy(id string, object *intent.Policy) {
	s := p.policy(id)
	old, oldPass := s.object, s.pass
	s.object, s.pass = object, [2]bool{}
	if object != nil && object.Invalid == "" {
		s.pass = [2]bool{model.Ingress: hasPass(object.Ingress), model.Egress: hasPass(object.Egress)}
	}
	if (old == nil) != (object == nil) || old != nil && object != nil && (old.Staged == "") != (object.Staged == "") || oldPass != s.pass {
		p.dirtyUsers(&s.holder)
	}
	p.dirtyChains(&s.holder, chainKey{id: id})
	if object == nil && len(s.users[0])+len(s.users[1]) == 0 {
		p.orphans = append(p.orphans, chainKey{id: id})
	}
}

func (p *Plane) takeProfile(id string, object *intent.Profile) {
	s := p.profile(id)
	old := s.object
	s.object = object
	if (old == nil) != (object == nil) || old != nil && object != nil && old.Missing != object.Missing {
		p.dirtyUsers(&s.holder)
	}
	p.dirtyChains(&s.holder, chainKey{profile: true, id: id})
	if object == nil && len(s.users[0])+len(s.users[1]) == 0 {
		p.orphans = append(p.orphans, chainKey{profile: true, id: id})
	}
}

// renderRules makes, or removes, the chain of a policy or profile in one direction.
func (p *Plane) renderRules(key chainKey) {
	h, o, rules, ok := p.content(key)
	for id := range h.sets[key.dir] {
		if s := p.sets[id]; s != nil {
			delete(s.users, key)
			p.reap(s)
		}
	}
	h.sets[key.dir] = nil
	if !ok || len(h.users[key.dir]) == 0 {
		p.rules.forgetChain(key.chain())
		p.orphans = append(p.orphans, key)
		return
	}
	h.sets[key.dir] = setsOf(rules)
	for id := range h.sets[key.dir] {
		p.set(id).users[key] = struct{}{}
	}
	p.rules.desireChain(key.chain(), p.rulesChain(o, key.dir, rules))
}

// content is the rules of a policy or profile; false if it must have no chain.
func (p *Plane) content(key chainKey) (h *holder, o owner, rules []intent.Rule, ok bool) {
	if key.profile {
		s := p.profile(key.id)
		if s.object == nil || s.object.Missing {
			return &s.holder, o, nil, false
		}
		rules = s.object.Ingress
		if key.dir == model.Egress {
			rules = s.object.Egress
		}
		return &s.holder, owner{kind: "Profile", name: key.id, profile: true}, rules, true
	}
	s := p.policy(key.id)
	if s.object == nil || s.object.Staged != "" {
		return &s.holder, o, nil, false
	}
	rules = s.object.Ingress
	if key.dir == model.Egress {
		rules = s.object.Egress
	}
	if s.object.Invalid != "" && (len(rules) != 1 || rules[0].Action != model.Deny) {
		rules = []intent.Rule{{Action: model.Deny}}
	}
	o = owner{tier: s.object.Tier, kind: string(s.object.Key.Kind), name: s.object.Key.Name}
	if ns := s.object.Key.Namespace; ns != "" {
		o.name = ns + "/" + o.name
	}
	return &s.holder, o, rules, true
}

// forgetOrphans drops the state of policies and profiles that neither the intent nor a group names any more.
func (p *Plane) forgetOrphans() {
	for _, key := range p.orphans {
		if key.profile {
			if s := p.profiles[key.id]; s != nil && s.object == nil && len(s.users[0])+len(s.users[1]) == 0 {
				delete(p.profiles, key.id)
			}
		} else if s := p.policies[key.id]; s != nil && s.object == nil && len(s.users[0])+len(s.users[1]) == 0 {
			delete(p.policies, key.id)
		}
	}
	p.orphans = nil
}

func (p *Plane) takeEndpoint(id string, object *intent.LocalEndpoint) {
	old := p.endpoints[id]
	if old != nil {
		if object == nil || old.object.Interface != object.Interface {
			p.unplug(id, old.object.Interface)
		}
		p.spoofing(old.object, false)
	}
	var next *endpointState
	if object != nil {
		if n := len(object.Interface); n == 0 || n > 15 {
			p.problems[intent.Ref{Kind: intent.KindLocalEndpoint, ID: id}.String()] = fmt.Sprintf(
				"interface %q: must have 1 to 15 characters; its traffic stays dropped", object.Interface)
			if old != nil {
				p.unplug(id, old.object.Interface)
			}
			object = nil
		}
	}
	if object != nil {
		next = &endpointState{object: object}
		for _, dir := range []model.Direction{model.Ingress, model.Egress} {
			next.groups[dir] = p.join(dir, object.Tiers, object.Profiles)
		}
		p.endpoints[id] = next
		p.plug(id, object.Interface)
		p.spoofing(object, p.host.WorkloadSourceSpoofAny)
	} else {
		delete(p.endpoints, id)
	}
	if old != nil { // after join: a group that stays must not be torn down between
		p.leave(old.groups[0])
		p.leave(old.groups[1])
	}
}

// plug makes id the endpoint of an interface. When a workload is replaced, the old one's removal may come later.
func (p *Plane) plug(id, iface string) {
	ids := slices.DeleteFunc(p.interfaces[iface], func(have string) bool { return have == id })
	p.interfaces[iface] = append(ids, id)
	p.dispatch(iface)
}

func (p *Plane) unplug(id, iface string) {
	ids := slices.DeleteFunc(p.interfaces[iface], func(have string) bool { return have == id })
	if len(ids) == 0 {
		delete(p.interfaces, iface)
	} else {
		p.interfaces[iface] = ids
	}
	p.dispatch(iface)
}

func (p *Plane) dispatch(iface string) {
	key := ifname(iface)
	ids := p.interfaces[iface]
	if len(ids) == 0 {
		p.rules.forgetRow(p.workloads, key)
		p.rules.forgetRow(p.from, key)
		p.rules.forgetRow(p.to, key)
		return
	}
	e := p.endpoints[ids[len(ids)-1]]
	p.rules.desireRow(p.workloads, key, "")
	p.rules.desireRow(p.to, key, e.groups[model.Ingress].chain)
	p.rules.desireRow(p.from, key, e.groups[model.Egress].chain)
}

// spoofing adds or removes the sources beside its own that an endpoint may use (R7).
func (p *Plane) spoofing(e *intent.LocalEndpoint, allow bool) {
	for _, prefix := range e.SourcePrefixes {
		s := p.spoof[familyIndex(prefix)]
		if key := spoofKey(e.Interface, prefix); allow {
			p.rules.desireRow(s, key, "")
		} else {
			p.rules.forgetRow(s, key)
		}
	}
}

func familyIndex(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

func ifname(name string) string {
	var key [16]byte
	copy(key[:], name)
	return string(key[:])
}

// spoofKey is interface . first address, then interface . last address.
func spoofKey(iface string, p netip.Prefix) string {
	return ifname(iface) + string(p.Masked().Addr().AsSlice()) + ifname(iface) + string(last(p.Masked()))
}
