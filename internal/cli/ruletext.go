package cli

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
)

// maxListed is how many nets or ports of a rule are shown.
const maxListed = 4

// ruleText is a rule in one line: "Allow TCP from app == 'web' to ports 80,443".
func (g *engine) ruleText(r *intent.Rule) string {
	var b strings.Builder
	b.WriteString(r.Action.String())
	switch r.IPVersion {
	case 4:
		b.WriteString(" IPv4")
	case 6:
		b.WriteString(" IPv6")
	}
	if r.Protocol != 0 {
		b.WriteString(" " + protocolName(r.Protocol))
	}
	if r.NotProtocol != 0 {
		b.WriteString(" not " + protocolName(r.NotProtocol))
	}
	if r.ICMP.Set {
		fmt.Fprintf(&b, " type %d", r.ICMP.Type)
		if r.ICMP.HasCode {
			fmt.Fprintf(&b, " code %d", r.ICMP.Code)
		}
	}
	if r.NotICMP.Set {
		fmt.Fprintf(&b, " not type %d", r.NotICMP.Type)
	}
	for _, side := range []struct {
		word   string
		entity *intent.Entity
	}{{"from", &r.Src}, {"to", &r.Dst}} {
		if text := g.entityText(side.entity); text != "" {
			b.WriteString(" " + side.word + " " + text)
		}
	}
	return b.String()
}

func (g *engine) entityText(e *intent.Entity) string {
	var parts []string
	add := func(word string, items []string) {
		if len(items) > 0 {
			parts = append(parts, word+listed(items))
		}
	}
	add("", prefixes(e.Nets))
	add("not ", prefixes(e.NotNets))
	add("", g.setTexts(e.Sets))
	add("not ", g.setTexts(e.NotSets))
	add("ports ", append(ports(e.Ports), g.setTexts(e.PortSets)...))
	add("not ports ", append(ports(e.NotPorts), g.setTexts(e.NotPortSets)...))
	return strings.Join(parts, " ")
}

func listed(items []string) string {
	if more := len(items) - maxListed; more > 0 {
		return strings.Join(items[:maxListed], ",") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(items, ",")
}

func prefixes(list []netip.Prefix) []string {
	out := make([]string, 0, len(list))
	for _, p := range list {
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
		} else {
			out = append(out, p.String())
		}
	}
	return out
}

func ports(list []intent.PortRange) []string {
	out := make([]string, 0, len(list))
	for _, p := range list {
		if p.Min == p.Max {
			out = append(out, strconv.Itoa(int(p.Min)))
		} else {
			out = append(out, fmt.Sprintf("%d:%d", p.Min, p.Max))
		}
	}
	return out
}

// setTexts is what sets stand for.
func (g *engine) setTexts(ids []intent.SetID) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if s := g.sets[id]; s != nil && s.Selector != "" {
			out = append(out, "{"+s.Selector+"}")
		} else {
			out = append(out, "set "+string(id))
		}
	}
	return out
}
