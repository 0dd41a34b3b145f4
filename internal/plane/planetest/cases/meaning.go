package cases

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// The label that says that something has a namespace, as the text of a selector.
const hasNamespace = "has(" + model.LabelNamespace + ")"

// meaning is what a policy says, by the rules of the specification and not by those of convert.
func meaning(p *Policy, wrong bool) *model.Policy {
	if k, ok := p.Spec.(*KubernetesSpec); ok {
		return kubernetesMeaning(p, k)
	}
	s := p.Spec.(*Spec)
	m := &model.Policy{
		Key: p.Key, UID: p.Metadata.UID, Tier: s.Tier, Order: math.Inf(1), Staged: model.StagedAction(s.StagedAction),
		Subject: subject(p.Key, s), DoNotTrack: s.DoNotTrack, PreDNAT: s.PreDNAT, ApplyOnForward: s.ApplyOnForward,
	}
	if m.Tier == "" {
		m.Tier = model.TierDefault
	}
	if s.Order != nil {
		m.Order = *s.Order
	}
	if m.Staged == "" && strings.HasPrefix(string(p.Key.Kind), "Staged") {
		m.Staged = model.StagedSet
	}
	for _, t := range s.Types {
		m.AppliesIngress = m.AppliesIngress || t == "Ingress"
		m.AppliesEgress = m.AppliesEgress || t == "Egress"
	}
	if len(s.Types) == 0 { // R26
		m.AppliesIngress, m.AppliesEgress = true, true
	}
	if wrong {
		m.Invalid, m.DoNotTrack, m.PreDNAT = "wrong", false, false
		return m
	}
	for i := range s.Ingress {
		m.Ingress = append(m.Ingress, ruleMeaning(p.Key.Namespace, &s.Ingress[i]))
	}
	for i := range s.Egress {
		m.Egress = append(m.Egress, ruleMeaning(p.Key.Namespace, &s.Egress[i]))
	}
	return m
}

// subject is whom a policy is for (R28, R62). A selector with global() is none here and says nothing.
func subject(key model.Key, s *Spec) *selector.Selector {
	all := "all()"
	if s.NamespaceSelector != nil {
		all = hasNamespace
	}
	// Those of service accounts come last and change what all() is left by then.
	accounts := "all()"
	if s.ServiceAccountSelector != nil && key.Namespace == "" {
		accounts = "has(" + model.LabelServiceAccount + ")"
		if s.NamespaceSelector == nil {
			all = accounts
		}
	}
	var parts []string
	global := s.Selector != nil && s.Selector.op == "global"
	if s.Selector != nil && !global {
		parts = append(parts, s.Selector.text("", all, ""))
	}
	if s.NamespaceSelector != nil {
		parts = append(parts, s.NamespaceSelector.text("pcns.", hasNamespace, ""))
	}
	if s.ServiceAccountSelector != nil {
		parts = append(parts, s.ServiceAccountSelector.text("pcsa.", accounts, ""))
	}
	parts = append(parts, own(key.Namespace))
	switch text := and(parts...); {
	case text != "":
		return parse(text)
	case global:
		return selector.Has(model.LabelOrchestrator) // every workload, no host
	}
	return selector.All()
}

// own is what belongs to a namespace; nothing where there is none.
func own(namespace string) string {
	if namespace == "" {
		return ""
	}
	return model.LabelNamespace + " == '" + namespace + "'"
}

var actions = map[string]model.Action{"Allow": model.Allow, "Deny": model.Deny, "Pass": model.Pass, "Log": model.Log}

func ruleMeaning(namespace string, r *Rule) model.Rule {
	return model.Rule{
		Action: actions[r.Action], IPVersion: uint8(r.IPVersion), Protocol: number(r.Protocol), NotProtocol: number(r.NotProtocol),
		ICMP: r.ICMP.meaning(), NotICMP: r.NotICMP.meaning(),
		Src: entityMeaning(namespace, &r.Source), Dst: entityMeaning(namespace, &r.Destination),
	}
}

func (c *ICMP) meaning() model.ICMP {
	if c == nil {
		return model.ICMP{}
	}
	m := model.ICMP{Set: true, Type: uint8(c.Type)}
	if c.Code != nil {
		m.HasCode, m.Code = true, uint8(*c.Code)
	}
	return m
}

var protocols = map[string]uint8{
	"TCP": model.ProtoTCP, "UDP": model.ProtoUDP, "SCTP": model.ProtoSCTP, "ICMP": model.ProtoICMP,
	"ICMPv6": model.ProtoICMPv6, "UDPLite": model.ProtoUDPLite,
}

// number is a protocol's number; 0 for none.
func number(protocol any) uint8 {
	switch p := protocol.(type) {
	case string:
		return protocols[p]
	case int:
		return uint8(p)
	}
	return 0
}

// entityMeaning follows R63 to R65.
func entityMeaning(namespace string, e *Entity) model.Entity {
	m := model.Entity{Nets: prefixes(e.Nets), NotNets: prefixes(e.NotNets), Ports: ports(e.Ports), NotPorts: ports(e.NotPorts)}
	var parts []string
	if e.ServiceAccounts != nil {
		if len(e.ServiceAccounts.Names) > 0 {
			parts = append(parts, model.LabelServiceAccount+" in {'"+strings.Join(e.ServiceAccounts.Names, "','")+"'}")
		}
		if e.ServiceAccounts.Selector != nil {
			parts = append(parts, e.ServiceAccounts.Selector.text("pcsa.", "all()", ""))
		}
	}
	if e.Selector != nil {
		parts = append(parts, e.Selector.text("", "all()", ""))
	}
	switch {
	case e.NamespaceSelector != nil:
		parts = append(parts, e.NamespaceSelector.text("pcns.", hasNamespace, "!"+hasNamespace))
	case len(parts) > 0 || e.NotSelector != nil:
		parts = append(parts, own(namespace))
	}
	m.Selector = parse(and(parts...))
	switch {
	case e.NotSelector == nil:
	case m.Selector == nil:
		m.NotSelector = parse(e.NotSelector.String())
	default:
		m.Selector = parse(and(append(parts, "!("+e.NotSelector.String()+")")...))
	}
	if e.Services != nil {
		m.Service = &model.ServiceRef{Namespace: e.Services.Namespace, Name: e.Services.Name}
		if m.Service.Namespace == "" {
			m.Service.Namespace = namespace
		}
	}
	return m
}

func prefixes(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		if p, err := netip.ParsePrefix(t); err == nil {
			out = append(out, p.Masked())
		} else if a, err := netip.ParseAddr(t); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

func ports(list []any) []model.Port {
	var out []model.Port
	for _, p := range list {
		text := fmt.Sprint(p)
		low, high, isRange := strings.Cut(text, ":")
		first, err := strconv.ParseUint(low, 10, 16)
		last := first
		if isRange {
			last, _ = strconv.ParseUint(high, 10, 16)
		}
		if err != nil {
			out = append(out, model.Port{Name: text})
		} else {
			out = append(out, model.Port{Min: uint16(first), Max: uint16(last)})
		}
	}
	return out
}
