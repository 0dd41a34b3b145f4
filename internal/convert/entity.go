package convert

import (
	"k8s.io/apimachinery/pkg/util/validation"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// entity converts one side of a rule. Services stand on the source of ingress rules and on the destination of egress
// rules only (R70); own is the direction in which they may stand on this side.
func (p *problems) entity(path string, in *v3.EntityRule, scope ruleScope, own model.Direction) model.Entity {
	out := model.Entity{
		Nets:     p.parsePrefixes(path+".nets", in.Nets),
		NotNets:  p.parsePrefixes(path+".notNets", in.NotNets),
		Ports:    p.ports(path+".ports", in.Ports),
		NotPorts: p.ports(path+".notPorts", in.NotPorts),
	}
	p.entitySelectors(path, in, scope.namespace, &out)
	if in.Services != nil {
		out.Service = p.service(path, in, scope, own)
	}
	return out
}

func (p *problems) ports(path string, in []v3.Port) []model.Port {
	if len(in) == 0 {
		return nil
	}
	out := make([]model.Port, 0, len(in))
	for i := range in {
		if port, ok := p.parsePort(index(path, i), in[i].String()); ok {
			out = append(out, port)
		}
	}
	return out
}

// entitySelectors makes one selector of the selectors of a side (R63 to R65).
func (p *problems) entitySelectors(path string, in *v3.EntityRule, namespace string, out *model.Entity) {
	positive := and(
		p.serviceAccounts(path+".serviceAccounts", in.ServiceAccounts),
		p.parseLocalSelector(path+".selector", in.Selector),
	)
	negative := p.parseLocalSelector(path+".notSelector", in.NotSelector)

	switch {
	case in.NamespaceSelector != "":
		if s := p.parseSelector(path+".namespaceSelector", in.NamespaceSelector); s != nil {
			positive = and(namespaces(s), positive)
		}
	case positive != nil || negative != nil: // R64: a notSelector alone keeps a namespaced policy within its namespace
		positive = and(inNamespace(namespace), positive)
	}

	if positive != nil && negative != nil { // R65
		positive, negative = and(positive, selector.Not(negative)), nil
	}
	out.Selector, out.NotSelector = positive, negative
}

// namespaces turns a selector over namespace labels into one over the labels that endpoints inherit: all() is whatever
// has a namespace, global() what has none (R63, R72).
func namespaces(s *selector.Selector) *selector.Selector {
	any := selector.Has(model.LabelNamespace)
	return s.WithKeyPrefix(namespacePrefix).ReplaceAll(any).ReplaceGlobal(selector.Not(any))
}

// serviceAccounts selects by names, by the labels of the service account, or both (R63).
func (p *problems) serviceAccounts(path string, in *v3.ServiceAccountMatch) *selector.Selector {
	if in == nil {
		return nil
	}
	var byName, byLabels *selector.Selector
	for i, name := range in.Names {
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			p.add(index(path+".names", i), name, "must be the name of a service account: lower-case letters, digits, '-' and '.'")
			return nil
		}
	}
	if len(in.Names) > 0 {
		byName = selector.In(model.LabelServiceAccount, in.Names...)
	}
	if s := p.parseLocalSelector(path+".selector", in.Selector); s != nil {
		byLabels = s.WithKeyPrefix(serviceAccountPrefix)
	}
	return and(byName, byLabels)
}

// service converts a reference to a Kubernetes Service (R70).
func (p *problems) service(path string, in *v3.EntityRule, scope ruleScope, own model.Direction) *model.ServiceRef {
	at := path + ".services"
	if scope.direction != own {
		p.add(at, nil, "can stand only in the source of ingress rules and in the destination of egress rules")
	}
	for _, other := range []struct {
		field string
		set   bool
	}{
		{"ports", len(in.Ports) > 0}, {"notPorts", len(in.NotPorts) > 0},
		{"nets", len(in.Nets) > 0}, {"notNets", len(in.NotNets) > 0},
		{"selector", in.Selector != ""}, {"notSelector", in.NotSelector != ""},
		{"namespaceSelector", in.NamespaceSelector != ""}, {"serviceAccounts", in.ServiceAccounts != nil},
	} {
		if other.set {
			p.add(at, nil, "cannot be combined with %s", other.field)
		}
	}
	ref := &model.ServiceRef{Namespace: in.Services.Namespace, Name: in.Services.Name}
	if ref.Namespace == "" {
		ref.Namespace = scope.namespace
	}
	if ref.Name == "" {
		p.add(at+".name", nil, "is missing")
	}
	if ref.Namespace == "" {
		p.add(at+".namespace", nil, "is missing: a global policy belongs to no namespace")
	}
	return ref
}
