package convert

import (
	"net/netip"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// ruleScope is where a rule stands.
type ruleScope struct {
	namespace string // of the policy; empty for a global one or a profile
	direction model.Direction
}

// rules converts the rules of one direction.
func (p *problems) rules(path string, rules []v3.Rule, scope ruleScope) []model.Rule {
	if len(rules) == 0 {
		return nil
	}
	out := make([]model.Rule, len(rules))
	for i := range rules {
		out[i] = p.rule(index(path, i), &rules[i], scope)
	}
	return out
}

func (p *problems) rule(path string, in *v3.Rule, scope ruleScope) model.Rule {
	out := model.Rule{Action: p.action(path+".action", in.Action)}
	if in.IPVersion != nil {
		if *in.IPVersion == 4 || *in.IPVersion == 6 {
			out.IPVersion = uint8(*in.IPVersion)
		} else {
			p.add(path+".ipVersion", *in.IPVersion, "%s", oneOf("4", "6"))
		}
	}
	if in.Protocol != nil {
		out.Protocol = p.parseProtocol(path+".protocol", in.Protocol.String())
	}
	if in.NotProtocol != nil {
		out.NotProtocol = p.parseProtocol(path+".notProtocol", in.NotProtocol.String())
	}
	out.ICMP = p.icmp(path+".icmp", in.ICMP)
	out.NotICMP = p.icmp(path+".notICMP", in.NotICMP)
	p.ruleProtocol(path, in, &out)
	out.Src = p.entity(path+".source", &in.Source, scope, model.Ingress)
	out.Dst = p.entity(path+".destination", &in.Destination, scope, model.Egress)
	p.rulePorts(path, in, &out)
	p.ruleFamily(path, in, &out)
	p.ruleHTTP(path, in, &out, scope)
	if in.Metadata != nil {
		out.Annotations = in.Metadata.Annotations
	}
	return out
}

func (p *problems) action(path string, action v3.Action) model.Action {
	switch action {
	case v3.Allow:
		return model.Allow
	case v3.Deny:
		return model.Deny
	case v3.Log:
		return model.Log
	case v3.Pass:
		return model.Pass
	}
	p.add(path, string(action), "%s", oneOf("Allow", "Deny", "Log", "Pass"))
	return model.Deny
}

// icmp converts type and code (R93).
func (p *problems) icmp(path string, in *v3.ICMPFields) (out model.ICMP) {
	if in == nil {
		return out
	}
	if in.Code != nil && in.Type == nil {
		p.add(path+".code", *in.Code, "needs type")
		return out
	}
	if in.Type == nil {
		return out
	}
	if *in.Type < 0 || *in.Type > 254 {
		p.add(path+".type", *in.Type, "must be 0 to 254")
		return out
	}
	out = model.ICMP{Set: true, Type: uint8(*in.Type)}
	if in.Code != nil {
		if *in.Code < 0 || *in.Code > 255 {
			p.add(path+".code", *in.Code, "must be 0 to 255")
			return out
		}
		out.HasCode, out.Code = true, uint8(*in.Code)
	}
	return out
}

// ruleProtocol checks what ICMP demands of a rule (R93).
func (p *problems) ruleProtocol(path string, in *v3.Rule, out *model.Rule) {
	if (in.ICMP != nil || in.NotICMP != nil) && out.Protocol != model.ProtoICMP && out.Protocol != model.ProtoICMPv6 {
		field := ".icmp"
		if in.ICMP == nil {
			field = ".notICMP"
		}
		p.add(path+field, nil, "needs protocol ICMP or ICMPv6")
	}
	if out.Protocol == model.ProtoICMP && out.IPVersion == 6 {
		p.strictly(path+".ipVersion", 6, "must be 4 or unset: protocol is ICMP")
	}
	if out.Protocol == model.ProtoICMPv6 && out.IPVersion == 4 {
		p.strictly(path+".ipVersion", 4, "must be 6 or unset: protocol is ICMPv6")
	}
}

// rulePorts checks that a rule with ports has a protocol that has ports; without protocol only names make sense
// (R82, R83).
func (p *problems) rulePorts(path string, in *v3.Rule, out *model.Rule) {
	if hasPorts(out.Protocol) {
		return
	}
	for _, side := range []struct {
		path  string
		ports []model.Port
	}{
		{".source.ports", out.Src.Ports}, {".source.notPorts", out.Src.NotPorts},
		{".destination.ports", out.Dst.Ports}, {".destination.notPorts", out.Dst.NotPorts},
	} {
		for i, port := range side.ports {
			switch {
			case in.Protocol != nil:
				p.add(path+".protocol", in.Protocol.String(), "must be TCP, UDP or SCTP: the rule has ports")
				return
			case port.Name == "":
				p.add(index(path+side.path, i), nil, "is a number: needs protocol TCP, UDP or SCTP")
				return
			}
		}
	}
}

// ruleFamily checks that the nets of a rule are of one family, its ipVersion's (R92), and that no notNets denies a
// whole family (R91).
func (p *problems) ruleFamily(path string, in *v3.Rule, out *model.Rule) {
	want := int(out.IPVersion)
	reason := "must be IPv%d as ipVersion says"
	for _, side := range []struct {
		path string
		nets []netip.Prefix
		not  bool
	}{
		{".source.nets", out.Src.Nets, false}, {".source.notNets", out.Src.NotNets, true},
		{".destination.nets", out.Dst.Nets, false}, {".destination.notNets", out.Dst.NotNets, true},
	} {
		for i, prefix := range side.nets {
			at := index(path+side.path, i)
			if side.not && prefix.Bits() == 0 {
				p.strictly(at, prefix, "excludes every address: the rule could never match")
			}
			switch {
			case want == 0:
				want, reason = family(prefix), "must be IPv%d as the other nets of the rule"
			case want != family(prefix):
				p.strictly(at, prefix, reason, want)
				return
			}
		}
	}
}

// ruleHTTP checks an HTTP match (R95). It does not narrow what the kernel allows; that is said by a warning.
func (p *problems) ruleHTTP(path string, in *v3.Rule, out *model.Rule, scope ruleScope) {
	if in.HTTP == nil {
		return
	}
	if out.Action != model.Allow {
		p.strictly(path+".http", nil, "needs action Allow")
	}
	if in.Protocol != nil && out.Protocol != model.ProtoTCP {
		p.strictly(path+".http", nil, "needs protocol TCP or none")
	}
	if scope.direction == model.Egress {
		p.strictly(path+".http", nil, "is for ingress rules only")
	}
	for i, m := range in.HTTP.Paths {
		if (m.Exact == "") == (m.Prefix == "") {
			p.strictly(index(path+".http.paths", i), nil, "must have exact or prefix, one of them")
		}
	}
}
