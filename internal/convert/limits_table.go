package convert

import "github.com/tortie-net/tortie/internal/model"

// limits are the bounds of single fields, by kind (spec/api.md appendix E). Fields that the conversion bounds itself are
// in it too: it then found them wrong first, and the limit is not told again.
func limits(kind model.Kind) []limit {
	switch kind {
	case model.KindBGPConfiguration:
		return []limit{
			{path: "spec.bindMode", words: []string{"None", "NodeIP"}},
			{path: "spec.communities", items: 500},
			{path: "spec.communities[].name", length: 253},
			{path: "spec.communities[].value", length: 40},
			{path: "spec.ipv4NormalRoutePriority", ranged: true, least: 1, most: 2147483646},
			{path: "spec.ipv6NormalRoutePriority", ranged: true, least: 1, most: 2147483646},
			{path: "spec.listenPort", ranged: true, least: 1, most: 65535},
			{path: "spec.logSeverityScreen", words: []string{"", "Trace", "Debug", "Info", "Warning", "Error", "Fatal"}, fold: true},
			{path: "spec.prefixAdvertisements", items: 500},
			{path: "spec.prefixAdvertisements[].cidr", cidr: true},
			{path: "spec.prefixAdvertisements[].communities", items: 50},
			{path: "spec.programClusterRoutes", words: []string{"Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly"}},
			{path: "spec.serviceClusterIPs[].cidr", cidr: true},
			{path: "spec.serviceExternalIPs[].cidr", cidr: true},
			{path: "spec.serviceLoadBalancerAggregation", words: []string{"Enabled", "Disabled"}},
			{path: "spec.serviceLoadBalancerIPs[].cidr", cidr: true},
		}
	case model.KindBGPPeer:
		return []limit{
			{path: "spec.localWorkloadSelector", length: 1024},
			{path: "spec.nextHopMode", words: []string{"Auto", "Self", "Keep"}},
			{path: "spec.node", length: 253},
			{path: "spec.nodeSelector", length: 1024},
			{path: "spec.peerIP", length: 64},
			{path: "spec.peerSelector", length: 1024},
			{path: "spec.reachableBy", length: 64},
			{path: "spec.sourceAddress", words: []string{"UseNodeIP", "None"}},
		}
	case model.KindHostEndpoint:
		return []limit{
			{path: "spec.interfaceName", length: 15},
			{path: "spec.node", length: 253},
			{path: "spec.ports[].port", ranged: true, least: 1, most: 65535},
		}
	case model.KindIPAMConfiguration:
		return []limit{
			{path: "spec.ipCooldownSeconds", ranged: true, least: 0, most: 1200},
			{path: "spec.kubeVirtVMAddressPersistence", words: []string{"Enabled", "Disabled"}},
			{path: "spec.maxBlocksPerHost", ranged: true, least: 0, most: 1000000},
		}
	case model.KindIPPool:
		return []limit{
			{path: "spec.allowedUses", items: 10},
			{path: "spec.assignmentMode", words: []string{"Automatic", "Manual"}},
			{path: "spec.blockSize", ranged: true, least: 0, most: 128},
			{path: "spec.cidr", length: 48, cidr: true},
			{path: "spec.ipipMode", words: []string{"Never", "Always", "CrossSubnet"}},
			{path: "spec.namespaceSelector", length: 1024},
			{path: "spec.nodeSelector", length: 1024},
			{path: "spec.vxlanMode", words: []string{"Never", "Always", "CrossSubnet"}},
		}
	case model.KindKubeControllersConfiguration:
		return []limit{
			{path: "spec.controllers.loadBalancer.assignIPs", words: []string{"AllServices", "RequestedServicesOnly"}},
			{path: "spec.controllers.migration.policyNameMigrator", words: []string{"Disabled", "Enabled"}},
			{path: "spec.controllers.node.hostEndpoint.autoCreate", words: []string{"Enabled", "Disabled"}},
			{path: "spec.controllers.node.hostEndpoint.templates[].generateName", length: 253},
			{path: "spec.controllers.node.syncLabels", words: []string{"Enabled", "Disabled"}},
			{path: "spec.debugProfilePort", ranged: true, least: 0, most: 65535},
			{path: "spec.healthChecks", words: []string{"Enabled", "Disabled"}},
			{path: "spec.logSeverityScreen", words: []string{"None", "Debug", "Info", "Warning", "Error", "Fatal", "Panic"}},
			{path: "spec.prometheusMetricsPort", ranged: true, least: 0, most: 65535},
		}
	case model.KindStagedKubernetesNetworkPolicy:
		return []limit{
			{path: "spec.policyTypes", items: 2, leastItems: 1},
			{path: "spec.stagedAction", words: []string{"Set", "Delete", "Learn", "Ignore"}},
		}
	case model.KindNetworkPolicy, model.KindGlobalNetworkPolicy, model.KindStagedNetworkPolicy, model.KindStagedGlobalNetworkPolicy:
		return policyLimits()
	case model.KindProfile:
		return ruleLimits()
	case model.KindBGPFilter:
		return filterLimits()
	case model.KindFelixConfiguration:
		return felixLimits()
	}
	return nil
}

// policyLimits are those of the four tiered kinds.
func policyLimits() []limit {
	return append([]limit{
		{path: "spec.egress", items: 1024},
		{path: "spec.ingress", items: 1024},
		{path: "spec.namespaceSelector", length: 1024},
		{path: "spec.selector", length: 1024},
		{path: "spec.serviceAccountSelector", length: 1024},
		{path: "spec.stagedAction", words: []string{"Set", "Delete", "Learn", "Ignore"}},
		{path: "spec.types", items: 2, leastItems: 1},
	}, ruleLimits()...)
}

// ruleLimits are those of rules, in both directions.
func ruleLimits() []limit {
	var out []limit
	for _, rules := range []string{"spec.ingress[]", "spec.egress[]"} {
		for _, l := range []limit{
			{path: "action", words: []string{"Allow", "Deny", "Log", "Pass"}},
			{path: "http.methods", items: 20},
			{path: "http.paths", items: 20},
			{path: "http.paths[].exact", length: 1024},
			{path: "http.paths[].prefix", length: 1024},
			{path: "icmp.code", ranged: true, least: 0, most: 255},
			{path: "icmp.type", ranged: true, least: 0, most: 254},
			{path: "notICMP.code", ranged: true, least: 0, most: 255},
			{path: "notICMP.type", ranged: true, least: 0, most: 254},
		} {
			l.path = rules + "." + l.path
			out = append(out, l)
		}
		for _, side := range []string{".source.", ".destination."} {
			for _, l := range []limit{
				{path: "namespaceSelector", length: 1024},
				{path: "nets", items: 256},
				{path: "notNets", items: 256},
				{path: "notPorts", items: 50},
				{path: "notSelector", length: 1024},
				{path: "ports", items: 50},
				{path: "selector", length: 1024},
				{path: "services.name", length: 253},
				{path: "services.namespace", length: 253},
			} {
				l.path = rules + side + l.path
				out = append(out, l)
			}
		}
	}
	return out
}

// filterLimits are those of BGP filters; the families differ in how long CIDRs and prefixes are.
func filterLimits() []limit {
	var out []limit
	for _, rules := range []struct {
		path       string
		cidr, bits int64
	}{{"spec.exportV4[]", 18, 32}, {"spec.importV4[]", 18, 32}, {"spec.exportV6[]", 43, 128}, {"spec.importV6[]", 43, 128}} {
		for _, l := range []limit{
			{path: "action", words: []string{"Accept", "Reject"}},
			{path: "cidr", length: int(rules.cidr), cidr: true},
			{path: "communities.values", items: 1, leastItems: 1},
			{path: "interface", length: 15},
			{path: "matchOperator", words: []string{"Equal", "NotEqual", "In", "NotIn"}},
			{path: "operations", items: 10, leastItems: 1},
			{path: "operations[].addCommunity.value", length: 32},
			{path: "operations[].prependASPath.prefix", items: 10, leastItems: 1},
			{path: "operations[].setPriority.value", ranged: true, least: 1, most: 2147483646},
			{path: "peerType", words: []string{"eBGP", "iBGP"}},
			{path: "prefixLength.max", ranged: true, least: 0, most: rules.bits},
			{path: "prefixLength.min", ranged: true, least: 0, most: rules.bits},
			{path: "priority", ranged: true, least: 1, most: 2147483646},
			{path: "source", words: []string{"RemotePeers"}},
		} {
			l.path = rules.path + "." + l.path
			out = append(out, l)
		}
	}
	return out
}
