package main

func traceFaults() []fault {
	return []fault{
		{"intent/trace/rule.go", `return p.ICMPType == m.Type && (!m.HasCode || p.ICMPCode == m.Code)`, `return p.ICMPType == m.Type`,
			"R93: the ICMP code is not looked at", tracing},
		{"intent/trace/rule.go", `if nets[i].Addr().Is4() == v4 {`, `if nets[i].IsValid() {`,
			"R90: nets of the other family leave the rule in force", tracing},
		{"intent/trace/rule.go", `ranges[i].Min <= port && port <= ranges[i].Max`, `ranges[i].Min <= port && port < ranges[i].Max`,
			"R80: the last port of a range is outside", tracing},
		{"intent/trace/rule.go", `if len(e.PortSets) == 0 || inRanges(e.Ports, port) {`, `if len(e.PortSets) == 0 {`,
			"R80: beside names, numbers do not count", tracing},
		{"intent/trace/evaluate.go", "case !counted:", "case !counted && len(ids) == 0:",
			"R24: a tier of staged policies denies", tracing},
		{"intent/trace/evaluate.go", `action == model.Allow || action == model.Deny {`, `action != model.Log {`,
			"R55: Pass in a profile denies", tracing},
		{"intent/trace/state.go", `m.prefixes.Delete(member.Prefix)`, `_ = m.prefixes.Contains(member.Prefix.Addr())`,
			"a net that left a set is still in it", tracing},
	}
}

func nodeFaults() []fault {
	return []fault{
		{"intent/localize/sets.go", `if s.own[m.member]--; s.own[m.member] <= 0 {`, `if s.own[m.member] <= 0 {`,
			"a workload that is gone stays in the node's sets", localizing},
		{"intent/localize/sets.go", "if s.own[m.member]--; s.own[m.member] <= 0 {\n\t\t\tdelete(s.own, m.member)", "{\n\t\t\tdelete(s.own, m.member)",
			"R68: an address leaves a set with the first of two workloads", localizing},
		{"intent/localize/endpoint.go", `members = memberships(e.Memberships, b.Addresses)`, `members = memberships(e.Memberships, e.Addresses)`,
			"a workload joins the sets with its stored addresses", localizing},
		{"intent/localize/localize.go", `if !ok || b.ContainerID != containerID {`, `if !ok || b.ContainerID == "" {`,
			"the end of an old container takes the new one's binding", localizing},
		{"intent/localize/route.go", `r.Type, r.Owner = intent.RouteBlackhole, intent.RouteBlock`, `r.Owner = intent.RouteBlock`,
			"R142: an own block has no blackhole", localizing},
		{"intent/localize/route.go", `if b.VXLAN == model.EncapAlways || b.IPIP == model.EncapAlways {`, `if b.VXLAN == model.EncapAlways && b.IPIP == model.EncapAlways {`,
			"packets of an encapsulated pool are routed as they are", localizing},

		{"plane/nft/match.go", `p.Addr().Is4() == (family == 4)`, `p.IsValid()`,
			"R90: a net is looked for in packets of the other family", kernel},
		{"plane/nft/match.go", `return slices.Concat(load, nftnl.Outside(nftnl.Reg, low, high))`,
			`return slices.Concat(load, nftnl.Compare(nftnl.Reg, nftnl.GreaterOrEqual, low), nftnl.Compare(nftnl.Reg, nftnl.LessOrEqual, high))`,
			"R84: a range in notPorts is one in ports", kernel},
		{"plane/nft/match.go", "for _, id := range e.NotSets {\n\t\ts.set(id, true)", "for _, id := range e.NotSets {\n\t\ts.set(id, false)",
			"R65: a negative set is a positive one", kernel},
		{"plane/nft/match.go", `want = append(want, icmp.Code)`, `_ = icmp.Code`,
			"R93: the ICMP code is not looked at", kernel},
		{"plane/nft/render.go", "if o.profile { // R55\n\t\t\treturn decide(nftnl.Return)", "if o.profile { // R55\n\t\t\treturn decide(nftnl.Drop)",
			"R55: Pass in a profile denies", kernel},
		{"plane/nft/group.go", "if t.DefaultAction == model.Pass {\n\t\t\tend.action = nil", "if t.DefaultAction != model.Pass {\n\t\t\tend.action = nil",
			"R24: the end of a tier does the contrary", kernel},
		{"plane/nft/group.go", `if pol.object != nil && pol.object.Staged != "" {`, `if pol.object == nil {`,
			"R24: staged policies are enforced", kernel},
		{"plane/nft/group.go", `c.rules = append(c.rules, rule{action: clearPass(bit), label: "next tier", plain: true})`, `_ = bit`,
			"R23: after one Pass every later policy of a tier passes", kernel},
		{"plane/nft/members.go", `p.change(s, p.surplus(s, object), p.removeMember)`, `_ = p.surplus(s, object)`,
			"members that left a set stay in the kernel", kernel},
	}
}
