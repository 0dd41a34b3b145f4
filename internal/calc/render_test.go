package calc_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// change is one change in one line, or several for an object with rules.
func change(c intent.Change) string {
	nodes := "all"
	if c.Nodes != nil {
		nodes = strings.Join(c.Nodes, ",")
	}
	if c.Object == nil {
		return fmt.Sprintf("%s: gone %v", nodes, c.Ref)
	}
	return nodes + ": " + render(c.Object)
}

// fields writes name=value for what is set.
type fields struct{ strings.Builder }

func (f *fields) add(name string, value any) {
	text := fmt.Sprint(value)
	switch value.(type) {
	case []string, []intent.SetID:
		text = strings.Trim(strings.ReplaceAll(text, " ", ","), "[]")
	}
	switch text {
	case "", "0", "false", "invalid IP", "invalid Prefix", "map[]", "[]", "{ }", "{0 0}":
		return
	}
	fmt.Fprintf(f, " %s=%s", name, text)
}

func render(o intent.Object) string {
	f := &fields{}
	fmt.Fprintf(f, "%v", o.Ref())
	switch o := o.(type) {
	case *intent.Set:
		fmt.Fprintf(f, " <%s>%s", o.Selector, memberList("", o.Members))
	case *intent.SetDelta:
		f.WriteString(memberList("+", o.Add) + memberList("-", o.Remove))
	case *intent.Policy:
		f.add("tier", o.Tier)
		if !math.IsInf(o.Order, 1) {
			f.add("order", o.Order)
		}
		f.add("uid", o.UID)
		f.add("staged", o.Staged)
		f.add("invalid", o.Invalid)
		f.rules("ingress", o.Ingress)
		f.rules("egress", o.Egress)
	case *intent.Profile:
		f.add("missing", o.Missing)
		f.rules("ingress", o.Ingress)
		f.rules("egress", o.Egress)
	case *intent.Endpoint:
		renderEndpoint(f, o)
	case *intent.HostEndpoint:
		f.add("node", o.Node)
		f.add("interface", o.Interface)
		f.add("addresses", o.ExpectedIPs)
		f.add("profiles", o.Profiles)
		f.tiers(o.Tiers)
	default:
		return renderNode(f, o)
	}
	return f.String()
}

func renderEndpoint(f *fields, o *intent.Endpoint) {
	f.add("uid", o.UID)
	f.add("interface", o.Interface)
	f.add("addresses", o.Addresses)
	f.add("profiles", o.Profiles)
	f.add("pools4", o.Pools4)
	f.add("pools6", o.Pools6)
	f.add("source", o.SourcePrefixes)
	f.add("container", o.ContainerID)
	f.add("mac", o.MAC)
	f.add("ports", o.Ports)
	for _, k := range slices.Sorted(maps.Keys(o.Annotations)) {
		f.add(k, o.Annotations[k])
	}
	for _, m := range o.Memberships {
		fmt.Fprintf(f, " in:%s", m.Set)
		for _, p := range m.Ports {
			fmt.Fprintf(f, ":%d/%d", p.Protocol, p.Port)
		}
	}
	f.tiers(o.Tiers)
}

func renderNode(f *fields, o intent.Object) string {
	switch o := o.(type) {
	case *intent.NodeFacts:
		f.add("ipv4", o.IPv4)
		f.add("ipv6", o.IPv6)
	case *intent.Pool:
		f.add("cidr", o.CIDR)
		f.add("ipip", o.IPIP)
		f.add("vxlan", o.VXLAN)
		f.add("nat", o.NATOutgoing)
		f.add("disabled", o.Disabled)
		f.add("loadbalancer", o.LoadBalancerOnly)
		f.add("noexport", o.DisableBGPExport)
	case *intent.BlockRoute:
		f.add("node", o.Node)
		f.add("borrowed", o.Borrowed)
		f.add("ipip", o.IPIP)
		f.add("vxlan", o.VXLAN)
	case *intent.Config:
		fmt.Fprintf(f, " %+v", *o)
	case *intent.BGP:
		f.add("enabled", o.Enabled)
		f.add("as", o.AS)
		f.add("id", o.RouterID)
		f.add("port", o.ListenPort)
		f.add("ipv4", o.IPv4)
		f.add("ipv6", o.IPv6)
		f.add("pref4", o.LocalPref4)
		f.add("pref6", o.LocalPref6)
		for _, p := range o.Peerings {
			fmt.Fprintf(f, "\n  %s %v:%d as %d", p.Name, p.Address, p.Port, p.AS)
			f.add("passive", p.Passive)
			f.add("client-of", p.ClusterID)
			f.add("localas", p.LocalAS)
			f.add("restart", p.Restart)
			f.add("password", p.Password)
			f.add("keep", p.KeepNextHop)
		}
	case *intent.IPAM:
		for _, p := range o.Pools {
			q := *p
			q.NodeSelector, q.NamespaceSelector = nil, nil
			fmt.Fprintf(f, "\n  pool <%v> <%v> %+v", p.NodeSelector, p.NamespaceSelector, q)
		}
		f.WriteString("\n ")
		f.add("selected", o.Selected)
		f.add("reserved", o.Reservations)
		fmt.Fprintf(f, " %+v", o.Config)
	}
	return f.String()
}

func (f *fields) tiers(tiers []intent.Tier) {
	for _, t := range tiers {
		fmt.Fprintf(f, "\n  tier %s %v", t.Name, t.DefaultAction)
		f.add("ingress", t.Ingress)
		f.add("egress", t.Egress)
	}
}

func (f *fields) rules(direction string, rules []intent.Rule) {
	for _, r := range rules {
		fmt.Fprintf(f, "\n  %s %v %v", direction, r.ID, r.Action)
		f.add("v", r.IPVersion)
		f.add("proto", r.Protocol)
		f.add("notproto", r.NotProtocol)
		f.entity("src", r.Src)
		f.entity("dst", r.Dst)
	}
}

func (f *fields) entity(side string, e intent.Entity) {
	f.add(side, e.Sets)
	f.add(side+"-not", e.NotSets)
	f.add(side+"-nets", e.Nets)
	f.add(side+"-notnets", e.NotNets)
	f.add(side+"-ports", e.Ports)
	f.add(side+"-portsets", e.PortSets)
	f.add(side+"-notports", e.NotPorts)
	f.add(side+"-notportsets", e.NotPortSets)
}

func memberList(sign string, members []intent.Member) string {
	var b strings.Builder
	for _, m := range members {
		b.WriteString(" " + sign + member(m))
	}
	return b.String()
}

func member(m intent.Member) string {
	text := m.Prefix.String()
	if m.Prefix.IsSingleIP() {
		text = m.Prefix.Addr().String()
	}
	switch m.Proto {
	case 0:
		return text
	case model.ProtoTCP:
		return fmt.Sprintf("%s:tcp:%d", text, m.Port)
	case model.ProtoUDP:
		return fmt.Sprintf("%s:udp:%d", text, m.Port)
	}
	return fmt.Sprintf("%s:%d:%d", text, m.Proto, m.Port)
}
