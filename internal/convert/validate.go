package convert

import (
	"slices"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// builtinTier checks what the CEL rules of Tier fix (R29), and that ends are not left open to guessing.
func (p *problems) builtinTier(spec *v3.TierSpec) {
	fixed, ok := builtinTiers[p.key.Name]
	if !ok {
		return
	}
	if spec.DefaultAction != nil && *spec.DefaultAction != fixed.action {
		p.add("spec.defaultAction", string(*spec.DefaultAction), "must be %s in tier %s", fixed.action, p.key.Name)
	}
	if spec.Order != nil && *spec.Order != fixed.order {
		p.add("spec.order", *spec.Order, "must be %.0f in tier %s", fixed.order, p.key.Name)
	}
}

// setLabels keeps users from giving a network set the label that says its namespace (R71).
func (p *problems) setLabels(labels map[string]string) {
	if value, ok := labels[model.LabelNamespace]; ok {
		p.add("metadata.labels["+model.LabelNamespace+"]", value, "must not be set: the label is computed")
	}
}

// workloadName checks that the name of a WorkloadEndpoint says what its spec says (spec/store-layout.md §1.5).
func (p *problems) workloadName(v *v3.WorkloadEndpoint) {
	id := workloadID(p.key.Namespace, &v.Spec)
	workload := "spec.workload"
	switch id.Orchestrator {
	case orchestratorK8s:
		workload = "spec.pod"
	case "cni":
		workload = "spec.containerID"
	}
	complete := true
	for _, segment := range []struct{ path, text string }{
		{"spec.node", v.Spec.Node}, {"spec.orchestrator", id.Orchestrator}, {workload, id.Workload}, {"spec.endpoint", id.Endpoint},
	} {
		switch {
		case segment.text == "":
			p.add(segment.path, nil, "is missing")
			complete = false
		case segment.text[0] == '-' || segment.text[len(segment.text)-1] == '-':
			p.add(segment.path, segment.text, "must not begin or end with '-'")
			complete = false
		}
	}
	if want := WorkloadEndpointName(v.Spec.Node, id); complete && want != p.key.Name {
		p.add("metadata.name", p.key.Name, "must be %s, as node, orchestrator, workload and endpoint say", want)
	}
	for i, nat := range v.Spec.IPNATs {
		p.parseAddr(index("spec.ipNATs", i)+".internalIP", nat.InternalIP)
		p.parseAddr(index("spec.ipNATs", i)+".externalIP", nat.ExternalIP)
	}
	if v.Spec.IPv4Gateway != "" {
		p.parseAddrOf("spec.ipv4Gateway", v.Spec.IPv4Gateway, 4)
	}
	if v.Spec.IPv6Gateway != "" {
		p.parseAddrOf("spec.ipv6Gateway", v.Spec.IPv6Gateway, 6)
	}
	if len(v.Spec.InterfaceName) > maxInterfaceName {
		p.add("spec.interfaceName", v.Spec.InterfaceName, "must be at most %d bytes", maxInterfaceName)
	}
}

// maxInterfaceName is the longest name of a Linux interface, in bytes.
const maxInterfaceName = 15

func (p *problems) profileFields(v *v3.Profile) {
	if p.key.Name == model.ProfileDefaultAllow {
		p.add("metadata.name", p.key.Name, "is built in and cannot be written")
	}
	for _, k := range sortedKeys(v.Spec.LabelsToApply) {
		p.labelKey("spec.labelsToApply", k)
	}
}

// nodeStatus checks what is asked of a node.
func (p *problems) nodeStatus(spec *v3.CalicoNodeStatusSpec) {
	if spec.Node == "" {
		p.add("spec.node", nil, "is missing")
	}
	for i, class := range spec.Classes {
		if !slices.Contains([]v3.NodeStatusClass{v3.NodeStatusAgent, v3.NodeStatusBGP, v3.NodeStatusRoutes}, class) {
			p.add(index("spec.classes", i), string(class), "%s", oneOf("Agent", "BGP", "Routes"))
		}
	}
	if spec.UpdatePeriodSeconds != nil && *spec.UpdatePeriodSeconds < 0 {
		p.add("spec.updatePeriodSeconds", *spec.UpdatePeriodSeconds, "must be 0 (only once) or more")
	}
}

// controllers checks the templates of automatic host endpoints.
func (p *problems) controllers(spec *v3.KubeControllersConfigurationSpec) {
	if spec.Controllers.Node == nil || spec.Controllers.Node.HostEndpoint == nil {
		return
	}
	for i, t := range spec.Controllers.Node.HostEndpoint.Templates {
		at := index("spec.controllers.node.hostEndpoint.templates", i)
		p.parseLocalSelector(at+".nodeSelector", t.NodeSelector)
		for j, cidr := range t.InterfaceCIDRs {
			p.parseCIDR(index(at+".interfaceCIDRs", j), cidr)
		}
		p.regularExpression(at+".interfacePattern", t.InterfacePattern)
	}
}

func (p *problems) reversePeering(mode *string) {
	if mode != nil && *mode != "Auto" && *mode != "Manual" {
		p.add("spec.reversePeering", *mode, "%s", oneOf("Auto", "Manual"))
	}
}

// bgpFilter checks which fields of a filter rule go together.
func (p *problems) bgpFilter(spec *v3.BGPFilterSpec) {
	for _, list := range []struct {
		path  string
		rules []v3.BGPFilterRuleV4
	}{{"spec.exportV4", spec.ExportV4}, {"spec.importV4", spec.ImportV4}} {
		for i, r := range list.rules {
			at := index(list.path, i)
			p.filterMatch(at, r.CIDR, 4, &r.BGPFilterMatch)
			if r.PrefixLength != nil {
				p.prefixLength(at, r.CIDR, r.PrefixLength.Min, r.PrefixLength.Max)
			}
		}
	}
	for _, list := range []struct {
		path  string
		rules []v3.BGPFilterRuleV6
	}{{"spec.exportV6", spec.ExportV6}, {"spec.importV6", spec.ImportV6}} {
		for i, r := range list.rules {
			at := index(list.path, i)
			p.filterMatch(at, r.CIDR, 6, &r.BGPFilterMatch)
			if r.PrefixLength != nil {
				p.prefixLength(at, r.CIDR, r.PrefixLength.Min, r.PrefixLength.Max)
			}
		}
	}
}

func (p *problems) filterMatch(path, cidr string, want int, m *v3.BGPFilterMatch) {
	if cidr != "" {
		if prefix, ok := p.parseCIDR(path+".cidr", cidr); ok && family(prefix) != want {
			p.add(path+".cidr", cidr, "must be IPv%d", want)
		}
	}
	if cidr != "" && m.MatchOperator == "" {
		p.add(path+".matchOperator", nil, "is missing: cidr is set")
	}
	if cidr == "" && m.MatchOperator != "" {
		p.add(path+".cidr", nil, "is missing: matchOperator is set")
	}
	if m.Communities != nil {
		for i, c := range m.Communities.Values {
			p.community(index(path+".communities.values", i), c)
		}
	}
	if len(m.Operations) > 0 && m.Action != "Accept" {
		p.add(path+".operations", nil, "needs action Accept")
	}
	for i, o := range m.Operations {
		at, set := index(path+".operations", i), 0
		if o.AddCommunity != nil {
			set++
			p.community(at+".addCommunity.value", o.AddCommunity.Value)
		}
		if o.PrependASPath != nil {
			set++
		}
		if o.SetPriority != nil {
			set++
		}
		if set != 1 {
			p.add(at, nil, "must have addCommunity, prependASPath or setPriority, one of them")
		}
	}
}

func (p *problems) prefixLength(path, cidr string, least, most *int32) {
	if cidr == "" {
		p.add(path+".prefixLength", nil, "needs cidr")
	}
	if least != nil && most != nil && *least > *most {
		p.add(path+".prefixLength.min", *least, "must be at most max, %d", *most)
	}
}
