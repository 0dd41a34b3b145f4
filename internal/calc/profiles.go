package calc

import (
	"maps"

	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/calc/policy"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// profiles is who defines which profile and which node needs it. A profile that a Namespace or ServiceAccount stands for
// (R50, R51) goes before a stored Profile of the same name. Labels are in the index.
type profiles struct {
	derived     map[string]*model.Profile // rules only
	stored      map[string]*model.Profile
	annotations map[string]map[string]string // of namespaces, for pods that have none
	used        map[string]*profileState
	dirty       map[string]struct{}
	allow, none *model.Profile // rules of namespaces and of service accounts
}

// profileState is a profile that an endpoint of the span names.
type profileState struct {
	nodes  ipset.Audience
	active ruleHolder
}

func newProfiles() profiles {
	allow := []model.Rule{{Action: model.Allow}}
	return profiles{
		derived: map[string]*model.Profile{}, stored: map[string]*model.Profile{},
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

// rules are a profile's rules; nil: nobody defines it.
func (p *profiles) rules(name string) *model.Profile {
	if d := p.derived[name]; d != nil {
		return d
	}
	if s := p.stored[name]; s != nil {
		return s
	}
	if name == model.ProfileDefaultAllow {
		return p.allow
	}
	return nil
}

func (c *Calc) setStoredProfile(name string, p *model.Profile) {
	c.visited++
	set(c.profiles.stored, name, p)
	c.profiles.dirty[name] = struct{}{}
	if c.profiles.derived[name] == nil {
		c.labelProfile(name, p)
	}
}

// labelProfile hands a profile's labels to the index; nil: nobody defines it.
func (c *Calc) labelProfile(name string, p *model.Profile) {
	if p == nil {
		c.index.DropProfile(name)
	} else {
		c.index.SetProfile(name, p.Labels)
	}
}

// setDerived takes in a profile that another object stands for; nil: it does not.
func (c *Calc) setDerived(name string, p, rules *model.Profile) {
	c.visited++
	c.profiles.dirty[name] = struct{}{}
	if p == nil {
		delete(c.profiles.derived, name)
		c.labelProfile(name, c.profiles.stored[name])
		return
	}
	c.profiles.derived[name] = rules
	c.labelProfile(name, p)
}

func (c *Calc) setServiceAccount(key model.Key, p *model.Profile) {
	c.setDerived("ksa."+key.Namespace+"."+key.Name, p, c.profiles.none)
}

func (c *Calc) setNamespace(name string, n *model.Namespace) {
	if n == nil {
		delete(c.profiles.annotations, name)
		c.setDerived("kns."+name, nil, nil)
	} else {
		if len(n.Annotations) == 0 {
			delete(c.profiles.annotations, name)
		} else {
			c.profiles.annotations[name] = maps.Clone(n.Annotations)
		}
		c.setDerived("kns."+name, n.Profile(), c.profiles.allow)
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
		o := policy.CompileProfile(name, c.profiles.rules(name), specs)
		c.visited += uint64(len(o.Ingress) + len(o.Egress))
		c.hold(&s.active, specs, nodes)
		c.out.put(o, nodes)
	}
	clear(c.profiles.dirty)
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
