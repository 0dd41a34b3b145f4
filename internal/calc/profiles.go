package calc

import (
	"maps"

	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/calc/policy"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// profiles is who defines which profile and which node needs it. A profile that a Namespace or ServiceAccount stands for
// (R50, R51) goes before a stored Profile of the same name. Labels are in the index, and with them the origin.
type profiles struct {
	stored      map[string]*model.Profile
	annotations map[string]map[string]string // of namespaces, for pods that have none
	used        map[string]*profileState
	dirty       map[string]struct{}
	allow, none *model.Profile // rules of namespaces and of service accounts
}

// The origins of a profile that the index has, as its tag.
const (
	originNone uint8 = iota // nobody defines it
	originStored
	originNamespace
	originServiceAccount
)

// profileState is a profile that an endpoint of the span names.
type profileState struct {
	nodes  ipset.Audience
	active ruleHolder
}

func newProfiles() profiles {
	allow := []model.Rule{{Action: model.Allow}}
	return profiles{
		stored:      map[string]*model.Profile{},
		annotations: map[string]map[string]string{}, used: map[string]*profileState{}, dirty: map[string]struct{}{},
		allow: &model.Profile{Ingress: allow, Egress: allow}, none: &model.Profile{},
	}
}

// use counts one more endpoint of a node that names a profile.
func (p *profiles) use(name, node string) {
	s := p.used[name]
	if s == nil {
		s = &profileState{}
		p.used[name] = s
	}
	if s.nodes.Add(node) {
		p.dirty[name] = struct{}{}
	}
}

func (p *profiles) unuse(name, node string) {
	if p.used[name].nodes.Remove(node) {
		p.dirty[name] = struct{}{}
	}
}

// profileRules are a profile's rules; nil: nobody defines it. projectcalico-default-allow is built in: nothing redefines
// it.
func (c *Calc) profileRules(name string) *model.Profile {
	if name == model.ProfileDefaultAllow {
		return c.profiles.allow
	}
	switch c.index.ProfileTag(name) {
	case originNamespace:
		return c.profiles.allow
	case originServiceAccount:
		return c.profiles.none
	}
	return c.profiles.stored[name]
}

// changed makes the next Flush look at a profile that somebody names.
func (p *profiles) changed(name string) {
	if p.used[name] != nil {
		p.dirty[name] = struct{}{}
	}
}

func (c *Calc) setStoredProfile(name string, p *model.Profile) {
	c.visited++
	set(c.profiles.stored, name, p)
	c.profiles.changed(name)
	if c.index.ProfileTag(name) <= originStored {
		c.labelProfile(name, p)
	}
}

// labelProfile hands a stored profile's labels to the index; nil: nobody defines it. That which is built in has none.
func (c *Calc) labelProfile(name string, p *model.Profile) {
	if p == nil || name == model.ProfileDefaultAllow {
		c.index.DropProfile(name)
	} else {
		c.index.SetProfile(name, p.Labels, originStored)
	}
}

// setDerived takes in a profile that another object stands for; nil: it does not.
func (c *Calc) setDerived(name string, p *model.Profile, origin uint8) {
	c.visited++
	c.profiles.changed(name)
	if p == nil {
		c.labelProfile(name, c.profiles.stored[name])
	} else {
		c.index.SetProfile(name, p.Labels, origin)
	}
}

func (c *Calc) setServiceAccount(key model.Key, p *model.Profile) {
	c.setDerived("ksa."+key.Namespace+"."+key.Name, p, originServiceAccount)
}

func (c *Calc) setNamespace(name string, n *model.Namespace) {
	if n == nil {
		delete(c.profiles.annotations, name)
		c.setDerived("kns."+name, nil, originNone)
	} else {
		if len(n.Annotations) == 0 {
			delete(c.profiles.annotations, name)
		} else {
			c.profiles.annotations[name] = maps.Clone(n.Annotations)
		}
		c.setDerived("kns."+name, n.Profile(), originNamespace)
	}
	for id := range c.byNS[name] {
		c.touch(id)
	}
}

// flushProfiles compiles the profiles that changed and that somebody names.
func (c *Calc) flushProfiles() {
	for name := range c.profiles.dirty {
		s := c.profiles.used[name]
		if s == nil {
			continue
		}
		c.visited++
		nodes := s.nodes.Nodes()
		if len(nodes) == 0 {
			c.hold(&s.active, nil, nil)
			c.out.removeRef(intent.Ref{Kind: intent.KindProfile, ID: name})
			delete(c.profiles.used, name)
			continue
		}
		specs := policy.Specs{}
		o := policy.CompileProfile(name, c.profileRules(name), specs)
		c.visited += uint64(len(o.Ingress) + len(o.Egress))
		c.hold(&s.active, specs, nodes)
		c.out.put(o, nodes)
	}
	c.profiles.dirty = map[string]struct{}{} // a first flush is large: its map is not kept
}

// namespaceLabels is a namespace's labels as the namespaceSelector of a pool sees them: its own, and its name.
type namespaceLabels struct {
	calc *Calc
	name string
}

// Get implements selector.Labels.
func (n namespaceLabels) Get(key string) (string, bool) {
	if key == "projectcalico.org/name" {
		return n.name, true
	}
	return n.calc.index.ProfileLabel("kns."+n.name, "pcns."+key)
}
