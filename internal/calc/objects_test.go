package calc_test

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// The transcripts' own notation of objects: one line each, KIND NAME field=value…, values with spaces in double quotes;
// rules are the indented lines below a policy or profile. "delete KIND NAME" is an object that does not exist.

type object struct {
	kind, name string
	fields     map[string]string
	rules      []map[string]string
}

var kinds = map[string]model.Kind{
	"pod": model.KindPod, "wep": model.KindWorkloadEndpoint, "hep": model.KindHostEndpoint,
	"netset": model.KindNetworkSet, "globalnetset": model.KindGlobalNetworkSet, "tier": model.KindTier,
	"policy": model.KindNetworkPolicy, "globalpolicy": model.KindGlobalNetworkPolicy,
	"staged": model.KindStagedNetworkPolicy, "profile": model.KindProfile, "namespace": model.KindNamespace,
	"serviceaccount": model.KindServiceAccount, "slice": model.KindEndpointSlice, "node": model.KindNode,
	"pool": model.KindIPPool, "reservation": model.KindIPReservation, "block": model.KindBlock,
	"affinity": model.KindAffinity, "ipamconfig": model.KindIPAMConfig, "ipamresource": model.KindIPAMConfiguration,
	"felix": model.KindFelixConfiguration, "bgp": model.KindBGPConfiguration, "peer": model.KindBGPPeer,
	"cluster": model.KindClusterInformation,
}

// parseObjects reads the lines of one command.
func parseObjects(text string) ([]model.Update, error) {
	var list []object
	var gone []bool
	for _, line := range strings.Split(text, "\n") {
		words, err := split(line)
		if err != nil {
			return nil, err
		}
		if len(words) == 0 {
			continue
		}
		if strings.HasPrefix(line, " ") {
			rule := map[string]string{"direction": words[0], "action": words[1]}
			for _, w := range words[2:] {
				k, v, _ := strings.Cut(w, "=")
				rule[k] = v
			}
			list[len(list)-1].rules = append(list[len(list)-1].rules, rule)
			continue
		}
		deleted := words[0] == "delete"
		if deleted {
			words = words[1:]
		}
		o := object{kind: words[0], name: words[1], fields: map[string]string{}}
		for _, w := range words[2:] {
			k, v, _ := strings.Cut(w, "=")
			o.fields[k] = v
		}
		list, gone = append(list, o), append(gone, deleted)
	}
	var updates []model.Update
	for i, o := range list {
		key, value, err := o.build()
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", o.kind, o.name, err)
		}
		if gone[i] {
			value = nil
		}
		updates = append(updates, model.Update{Key: key, Value: value})
	}
	return updates, nil
}

// split cuts a line at spaces outside double quotes, which it removes.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	quoted, any := false, false
	for _, r := range line + " " {
		switch {
		case r == '"':
			quoted, any = !quoted, true
		case r == ' ' && !quoted:
			if any {
				words = append(words, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteRune(r)
			any = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("open quote in %q", line)
	}
	return words, nil
}

func (o object) build() (key model.Key, value any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	kind, ok := kinds[o.kind]
	if !ok {
		return key, nil, fmt.Errorf("unknown kind")
	}
	key = model.Key{Kind: kind, Name: o.name}
	if ns, name, ok := strings.Cut(o.name, "/"); ok && kind != model.KindBlock {
		key.Namespace, key.Name = ns, name
	}
	switch kind {
	case model.KindAffinity: // affinity NODE=CIDR
		node, cidr, _ := strings.Cut(o.name, "=")
		key = model.Key{Kind: kind, Namespace: "host:" + node, Name: cidr}
		if node == "virtual" {
			key.Namespace = "virtual:load-balancer"
		}
		return key, &model.Affinity{Owner: key.Namespace, CIDR: netip.MustParsePrefix(cidr),
			State: model.AffinityState(o.or("state", "confirmed"))}, nil
	case model.KindNetworkPolicy, model.KindGlobalNetworkPolicy, model.KindStagedNetworkPolicy:
		return key, o.policy(key), nil
	case model.KindPod, model.KindWorkloadEndpoint:
		return key, o.workload(key), nil
	}
	return key, o.other(key), nil
}

func (o object) workload(key model.Key) *model.WorkloadEndpoint {
	w := &model.WorkloadEndpoint{
		ID:  model.WorkloadID{Orchestrator: "k8s", Namespace: key.Namespace, Workload: o.or("pod", key.Name), Endpoint: "eth0"},
		UID: o.fields["uid"], Node: o.or("node", "n1"), Addresses: addrs(o.fields["ip"]),
		AddressesFromIPAM: o.fields["ip"] == "", Labels: pairs(o.fields["labels"]), Profiles: list(o.or("profiles", "kns."+key.Namespace)),
		Ports: namedPorts(o.fields["ports"]), Annotations: pairs(o.fields["annotations"]), SourcePrefixes: nets(o.fields["source"]),
	}
	if w.Labels == nil {
		w.Labels = map[string]string{}
	}
	w.Labels[model.LabelNamespace] = key.Namespace
	return w
}

func (o object) policy(key model.Key) *model.Policy {
	p := &model.Policy{
		Key: key, UID: o.fields["uid"], Tier: o.or("tier", "default"), Order: number(o.or("order", "inf")),
		Staged: model.StagedAction(o.fields["stagedaction"]), Subject: sel(o.or("subject", "all()")),
		AppliesIngress: strings.Contains(o.or("types", "ingress"), "ingress"),
		AppliesEgress:  strings.Contains(o.fields["types"], "egress"),
		DoNotTrack:     o.has("donottrack"), PreDNAT: o.has("prednat"), ApplyOnForward: o.has("applyonforward"),
		Invalid: o.fields["invalid"],
	}
	if key.Namespace != "" {
		p.Subject = selector.And(selector.Equals(model.LabelNamespace, key.Namespace), p.Subject)
	}
	p.Ingress, p.Egress = o.ruleLists()
	return p
}

func (o object) ruleLists() (ingress, egress []model.Rule) {
	for _, r := range o.rules {
		rule := model.Rule{Action: map[string]model.Action{"allow": model.Allow, "deny": model.Deny, "pass": model.Pass, "log": model.Log}[r["action"]]}
		rule.Protocol, rule.NotProtocol = protocol(r["proto"]), protocol(r["notproto"])
		rule.Src = entity(r, "src")
		rule.Dst = entity(r, "dst")
		if r["direction"] == "ingress" {
			ingress = append(ingress, rule)
		} else {
			egress = append(egress, rule)
		}
	}
	return ingress, egress
}

func entity(r map[string]string, side string) model.Entity {
	e := model.Entity{Nets: nets(r[side+"nets"]), NotNets: nets(r[side+"notnets"]), Ports: ports(r[side+"ports"]), NotPorts: ports(r[side+"notports"])}
	if text, ok := r[side]; ok {
		e.Selector = sel(text)
	}
	if text, ok := r[side+"not"]; ok {
		e.NotSelector = sel(text)
	}
	if ns, name, ok := strings.Cut(r[side+"service"], "/"); ok {
		e.Service = &model.ServiceRef{Namespace: ns, Name: name}
	}
	return e
}

func (o object) other(key model.Key) any {
	switch key.Kind {
	case model.KindHostEndpoint:
		return &model.HostEndpoint{Name: key.Name, Node: o.or("node", "n1"), Interface: o.fields["interface"],
			ExpectedIPs: addrs(o.fields["ip"]), Labels: pairs(o.fields["labels"]), Profiles: list(o.fields["profiles"]), Ports: namedPorts(o.fields["ports"])}
	case model.KindNetworkSet, model.KindGlobalNetworkSet:
		s := &model.NetworkSet{Key: key, Labels: pairs(o.fields["labels"]), Nets: nets(o.fields["nets"])}
		if key.Namespace != "" {
			s.Profiles = []string{"kns." + key.Namespace}
		}
		return s
	case model.KindTier:
		t := &model.Tier{Name: key.Name, Order: number(o.or("order", "inf")), DefaultAction: model.Deny}
		if o.fields["default"] == "pass" {
			t.DefaultAction = model.Pass
		}
		return t
	case model.KindProfile, model.KindServiceAccount:
		p := &model.Profile{Name: key.Name, Labels: pairs(o.fields["labels"])}
		p.Ingress, p.Egress = o.ruleLists()
		return p
	case model.KindNamespace:
		return &model.Namespace{Name: key.Name, Labels: pairs(o.fields["labels"]), Annotations: pairs(o.fields["annotations"])}
	case model.KindEndpointSlice:
		return &model.EndpointSlice{Namespace: key.Namespace, Name: key.Name, Service: o.fields["service"], Ready: addrs(o.fields["ready"]), Ports: namedPorts(o.fields["ports"])}
	case model.KindBlock:
		return o.block()
	case model.KindNode:
		return &model.Node{Name: key.Name, IPv4: prefix(o.fields["ipv4"]), IPv6: prefix(o.fields["ipv6"]), ASNumber: uint32(number(o.or("as", "0"))),
			RRClusterID: o.fields["rr"], NoBGP: o.has("nobgp"), Labels: pairs(o.fields["labels"])}
	}
	return o.settings(key)
}

func (o object) settings(key model.Key) any {
	modes := map[string]model.EncapMode{"": model.EncapNever, "always": model.EncapAlways, "crosssubnet": model.EncapCrossSubnet}
	switch key.Kind {
	case model.KindIPPool:
		p := &model.IPPool{Name: key.Name, CIDR: prefix(o.fields["cidr"]), BlockSize: 26, IPIP: modes[o.fields["ipip"]], VXLAN: modes[o.fields["vxlan"]],
			NATOutgoing: o.has("nat"), Disabled: o.has("disabled"), Manual: o.has("manual"), Workload: !o.has("loadbalancer"), Tunnel: !o.has("loadbalancer"),
			LoadBalancer: o.has("loadbalancer"), NodeSelector: sel(o.or("nodes", "all()"))}
		if text, ok := o.fields["namespaces"]; ok {
			p.NamespaceSelector = sel(text)
		}
		return p
	case model.KindIPReservation:
		return &model.IPReservation{Name: key.Name, CIDRs: nets(o.fields["cidrs"])}
	case model.KindIPAMConfig, model.KindIPAMConfiguration:
		return &model.IPAMConfig{StrictAffinity: o.has("strict"), AutoAllocateBlocks: !o.has("noauto"), MaxBlocksPerHost: int(number(o.or("max", "0")))}
	case model.KindFelixConfiguration:
		return &model.FelixConfiguration{Name: key.Name, Values: o.fields}
	case model.KindClusterInformation:
		return &model.ClusterInformation{GUID: o.fields["guid"], Ready: !o.has("locked")}
	case model.KindBGPConfiguration:
		c := &model.BGPConfiguration{Name: key.Name, ASNumber: uint32(number(o.or("as", "0"))), ListenPort: uint16(number(o.or("port", "0")))}
		if o.has("nomesh") {
			c.NodeToNodeMesh = new(bool)
		}
		c.ClusterRoutes = map[string]model.ClusterRoutes{"Disabled": model.ClusterRoutesDisabled, "Enabled": model.ClusterRoutesEnabled}[o.fields["routes"]]
		return c
	case model.KindBGPPeer:
		p := &model.BGPPeer{Name: key.Name, Node: o.fields["node"], PeerAS: uint32(number(o.or("as", "0"))), PeerPort: uint16(number(o.or("port", "0"))),
			LocalAS: uint32(number(o.or("localas", "0"))), MaxRestart: o.fields["restart"], Password: model.SecretRef{Name: o.fields["password"]}}
		if ip := addrs(o.fields["ip"]); ip != nil {
			p.PeerIP = ip[0]
		}
		if text, ok := o.fields["nodes"]; ok {
			p.NodeSelector = sel(text)
		}
		if text, ok := o.fields["peers"]; ok {
			p.PeerSelector = sel(text)
		}
		return p
	}
	panic("no builder for " + string(key.Kind))
}

// block reads used=ADDRESS@NODE:NAMESPACE/POD[:UID],…; a trailing "!" is an address that is cooling down.
func (o object) block() *model.Block {
	b := &model.Block{CIDR: prefix(o.name), Affinity: o.fields["affinity"]}
	b.Allocations = make([]int, 1<<(b.CIDR.Addr().BitLen()-b.CIDR.Bits()))
	for i := range b.Allocations {
		b.Allocations[i] = -1
	}
	for _, entry := range list(o.fields["used"]) {
		entry, cooling := strings.CutSuffix(entry, "!")
		addr, rest, _ := strings.Cut(entry, "@")
		parts := append(strings.SplitN(rest, ":", 3), "", "")
		ns, pod, _ := strings.Cut(parts[1], "/")
		a := model.Allocation{Attributes: map[string]string{model.AttrNode: parts[0], model.AttrNamespace: ns, model.AttrPod: pod}}
		if parts[2] != "" {
			a.Attributes[model.AttrUID] = parts[2]
		}
		if cooling {
			a.ReleasedAt = time.Unix(1, 0)
		}
		b.Allocations[b.Ordinal(netip.MustParseAddr(addr))] = len(b.Attributes)
		b.Attributes = append(b.Attributes, a)
	}
	return b
}

func (o object) or(field, other string) string {
	if v, ok := o.fields[field]; ok {
		return v
	}
	return other
}

func (o object) has(field string) bool { _, ok := o.fields[field]; return ok }

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func pairs(text string) map[string]string {
	if text == "" {
		return nil
	}
	m := map[string]string{}
	for _, e := range list(text) {
		k, v, _ := strings.Cut(e, ":")
		m[k] = v
	}
	return m
}

func addrs(text string) []netip.Addr {
	var out []netip.Addr
	for _, e := range list(text) {
		out = append(out, netip.MustParseAddr(e))
	}
	return out
}

func nets(text string) []netip.Prefix {
	var out []netip.Prefix
	for _, e := range list(text) {
		out = append(out, netip.MustParsePrefix(e))
	}
	return out
}

func prefix(text string) netip.Prefix {
	if text == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(text)
}

func namedPorts(text string) []model.NamedPort {
	var out []model.NamedPort
	for _, e := range list(text) {
		p := strings.SplitN(e, ":", 3)
		out = append(out, model.NamedPort{Name: p[0], Protocol: protocol(p[1]), Port: uint16(number(p[2]))})
	}
	return out
}

func ports(text string) []model.Port {
	var out []model.Port
	for _, e := range list(text) {
		low, high, found := strings.Cut(e, "-")
		if !found {
			high = low
		}
		if n, err := strconv.Atoi(low); err == nil {
			out = append(out, model.Port{Min: uint16(n), Max: uint16(number(high))})
		} else {
			out = append(out, model.Port{Name: e})
		}
	}
	return out
}

func protocol(text string) uint8 {
	return map[string]uint8{"tcp": model.ProtoTCP, "udp": model.ProtoUDP, "sctp": model.ProtoSCTP, "icmp": model.ProtoICMP}[text]
}

func number(text string) float64 {
	if text == "inf" {
		return math.Inf(1)
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func sel(text string) *selector.Selector {
	s, err := selector.Parse(text)
	if err != nil {
		panic(err)
	}
	return s
}
