package main

// faults is the table.
func faults() []fault {
	all := append(convertFaults(), calcFaults()...)
	return append(append(all, traceFaults()...), nodeFaults()...)
}

func convertFaults() []fault {
	return []fault{
		{"convert/selectors.go", `return selector.NotIn(key, e.Values...)`, `return selector.In(key, e.Values...)`,
			"R45: NotIn means In", conversion},
		{"convert/selectors.go", `return selector.Not(selector.Has(key))`, `return selector.Has(key)`,
			"R45: DoesNotExist means Exists", conversion},
		{"convert/policy.go", `s.WithKeyPrefix(namespacePrefix)).ReplaceAll(selector.Has(model.LabelNamespace))`, `s.WithKeyPrefix(namespacePrefix))`,
			"R62: all() beside a namespaceSelector takes in hosts", conversion},
		{"convert/policy.go", `subject = subject.ReplaceAll(selector.Has(model.LabelServiceAccount))`, `_ = model.LabelServiceAccount`,
			"R62: all() beside a serviceAccountSelector takes in others", conversion},
		{"convert/policy.go", `subject = and(subject, inNamespace(p.key.Namespace))`, `_ = inNamespace(p.key.Namespace)`,
			"R62: a namespaced policy is for all namespaces", conversion},
		{"convert/policy.go", "if len(types) == 0 {\n\t\treturn true, true", "if len(types) == 0 {\n\t\treturn true, false",
			"R26: a stored policy without types has no egress", conversion},
		{"convert/policy.go", "isolate(policy, err)\n\t\tpolicy.DoNotTrack", "policy.DoNotTrack",
			"a wrong policy keeps the rules that could be read", conversion},
		{"convert/entity.go", `positive = and(inNamespace(namespace), positive)`, `_ = inNamespace(namespace)`,
			"R63: a rule's selector is for all namespaces", conversion},
		{"convert/entity.go", `case positive != nil || negative != nil:`, `case positive != nil:`,
			"R64: notSelector alone leaves the namespace", conversion},
		{"convert/entity.go", `positive, negative = and(positive, selector.Not(negative)), nil`, `positive, negative = and(positive, negative), nil`,
			"R65: notSelector beside a selector selects", conversion},
		{"convert/entity.go", `.ReplaceGlobal(selector.Not(any))`, `.ReplaceGlobal(any)`,
			"R63: global() is what has a namespace", conversion},
		{"convert/entity.go", `return and(byName, byLabels)`, "if byName != nil {\n\t\treturn byName\n\t}\n\treturn byLabels",
			"R63: names of serviceAccounts make their selector forgotten", conversion},
		{"convert/kubernetes_policy.go", `parts = append(parts, inNamespace(p.key.Namespace))`, `_ = p.key.Namespace`,
			"R43: a podSelector is for all namespaces", conversion},
		{"convert/kubernetes_policy.go", `e.NotNets = append(e.NotNets, except)`, `e.Nets = append(e.Nets, except)`,
			"R44: except is allowed", conversion},
		{"convert/ports.go", `int(r.Min) <= int(merged[n-1].Max)+1`, `int(r.Min) <= int(merged[n-1].Max)+300`,
			"R42: joined ports swallow what is between them", conversion},
		{"convert/rule.go", `out.HasCode, out.Code = true, uint8(*in.Code)`, `out.Code = uint8(*in.Code)`,
			"R93: the ICMP code is forgotten", conversion},
	}
}

func calcFaults() []fault {
	return []fault{
		{"calc/policy/order.go", `return !p.DoNotTrack && !p.PreDNAT`, `return !p.PreDNAT`,
			"R31: untracked policies are among the normal ones", evaluation},
		{"calc/policy/order.go", "case a != nil && b == nil:\n\t\treturn -1", "case a != nil && b == nil:\n\t\treturn 1",
			"R20: tiers that do not exist come before those that do", evaluation},
		{"calc/policy/order.go", `if t != nil && t.DefaultAction == model.Pass {`, `if t == nil || t.DefaultAction == model.Pass {`,
			"R20: a tier that does not exist passes", evaluation},
		{"calc/policy/order.go", `[5]string{a.Key.Name, "/", a.Key.Namespace, "/", string(a.Key.Kind)},`,
			`[5]string{string(a.Key.Kind), "/", a.Key.Namespace, "/", a.Key.Name},`,
			"R21: equal orders are told apart by kind", evaluation},
		{"calc/policy/order.go", "if p.AppliesEgress {\n\t\t\ttiers[i].Egress", "if p.AppliesIngress {\n\t\t\ttiers[i].Egress",
			"R22: the types of a policy are confused", evaluation},
		{"calc/policy/rules.go", `if e.Selector != nil && (!named || len(o.Ports) > 0) {`, `if e.Selector != nil && !named {`,
			"R85: beside names, numbers are for everybody", evaluation},
		{"calc/policy/rules.go", `ports(e.Ports, e.Selector, protocol, specs)`, `ports(e.Ports, nil, protocol, specs)`,
			"R81: a port's name is for endpoints that are not selected", evaluation},
		{"calc/policy/rules.go", `ports(e.NotPorts, e.Selector, protocol, specs)`, `ports(e.NotPorts, nil, protocol, specs)`,
			"R84: a name in notPorts is for endpoints that are not selected", evaluation},
		{"calc/policy/rules.go", `Dst: compileEntity(&r.Dst, r.Protocol, intent.SetAddrPorts, specs),`,
			`Dst: compileEntity(&r.Dst, r.Protocol, intent.SetAddrs, specs),`,
			"R70: a service as destination is any port of its endpoints", evaluation},
		{"calc/policy/rules.go", `o.NotSets = append(o.NotSets, specs.add`, `o.Sets = append(o.Sets, specs.add`,
			"R65: notSelector alone selects", evaluation},
		{"calc/policy/rules.go", `o := &intent.Profile{ID: name, Missing: p == nil}`, `o := &intent.Profile{ID: name}
	if p == nil {
		p = &model.Profile{}
	}`, "R54: a profile that is missing says nothing", evaluation},
		{"calc/ipset/owners.go", `(g.uid == UID{} || g.uid == uid)`, `(g.uid == UID{} || uid != UID{})`,
			"R145: a new pod gets the addresses of an old one of its name", evaluation},
		{"calc/ipset/owners.go", `if !a.ReleasedAt.IsZero() || name`, `if name`,
			"R145: a released address still belongs to somebody", evaluation},
		{"calc/ipset/owners.go", `g.node == node && (`, `node == node && (`,
			"R145: an allocation of another node counts", evaluation},
		{"calc/ipset/sets.go", "if after == 0 {\n\t\tdelete(t.counts, m)", "if sign < 0 {\n\t\tafter = 0\n\t\tdelete(t.counts, m)",
			"R68: an address goes with the first of those that share it", histories},
		{"calc/ipset/sets.go", `s.ports.use(ports)})`, `s.ports.use(ports[:len(ports)/2])})`,
			"R81: of the ports that an endpoint declares, half count", evaluation},
		{"calc/ipset/services.go", `if delete(s.services.byName[ref], key); len(s.services.byName[ref]) == 0 {`,
			`if len(s.services.byName[ref]) == 1 {`,
			"a slice that is gone comes back with the next rule for its service", histories},
		{"calc/ipset/spec.go", `p.Name == s.Port && (`, `(`,
			"R81: any port is of any name", evaluation},
		{"calc/index/selectors.go", `x.sets.each(x.anywhere[side], try)`, `_ = x.anywhere[side]`,
			"R61: selectors that ask for nothing select nothing", evaluation},
		{"calc/policies.go", `a.Tier != b.Tier || a.Order != b.Order || a.AppliesIngress`, `a.Tier != b.Tier || a.AppliesIngress`,
			"R21: a change of order has no effect", histories},
		{"calc/policies.go", `c.index.Each(wasSubject, func(item index.ItemID) { c.unchoose(id, item) })`, `_ = wasSubject`,
			"endpoints that a policy no longer selects keep it", histories},
		{"calc/policies.go", "if old != nil && t != nil && *old == *t {\n\t\treturn", "if old != nil && t != nil {\n\t\treturn",
			"R20: a change of a tier has no effect", histories},
		{"calc/calc.go", `model.KindKubernetesNetworkPolicy, model.KindClusterNetworkPolicy:`, `model.KindKubernetesNetworkPolicy:`,
			"R47: cluster policies are not enforced", evaluation},
		{"calc/index/profiles.go", `x.evaluate(ItemID(member), x.items.At(member))`, `_ = member`,
			"R52: a change of a namespace's labels has no effect", histories},
	}
}
