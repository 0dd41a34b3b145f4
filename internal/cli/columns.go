package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// columns is what the tables of a kind show beside the name, in the words of calicoctl and kubectl.
func columns(kind model.Kind) []column {
	switch kind {
	case model.KindNetworkPolicy, model.KindGlobalNetworkPolicy, model.KindStagedNetworkPolicy, model.KindStagedGlobalNetworkPolicy:
		return []column{
			{header: "TIER", path: "spec.tier", format: or("default")},
			{header: "ORDER", path: "spec.order"},
			{header: "SELECTOR", path: "spec.selector", format: or("all()")},
			{header: "TYPES", path: "spec.types", wide: true},
			{header: "INGRESS", path: "spec.ingress", format: count, wide: true},
			{header: "EGRESS", path: "spec.egress", format: count, wide: true},
		}
	case model.KindKubernetesNetworkPolicy, model.KindStagedKubernetesNetworkPolicy:
		return []column{
			{header: "POD-SELECTOR", path: "spec.podSelector.matchLabels"},
			{header: "TYPES", path: "spec.policyTypes", wide: true},
			{header: "AGE", path: "metadata.creationTimestamp", format: age},
		}
	case model.KindTier:
		return []column{{header: "ORDER", path: "spec.order"}, {header: "DEFAULT-ACTION", path: "spec.defaultAction", format: or("Deny")}}
	case model.KindNetworkSet, model.KindGlobalNetworkSet:
		return []column{{header: "NETS", path: "spec.nets"}, {header: "LABELS", path: "metadata.labels", wide: true}}
	case model.KindHostEndpoint:
		return []column{
			{header: "NODE", path: "spec.node"}, {header: "INTERFACE", path: "spec.interfaceName", wide: true},
			{header: "IPS", path: "spec.expectedIPs", wide: true}, {header: "PROFILES", path: "spec.profiles", wide: true},
		}
	case model.KindWorkloadEndpoint:
		return []column{
			{header: "WORKLOAD", path: "spec.pod|spec.workload|spec.containerID"},
			{header: "NODE", path: "spec.node"}, {header: "NETWORKS", path: "spec.ipNetworks"},
			{header: "INTERFACE", path: "spec.interfaceName"}, {header: "PROFILES", path: "spec.profiles", wide: true},
			{header: "NATS", path: "spec.ipNATs.externalIP", wide: true},
		}
	case model.KindProfile:
		return []column{{header: "LABELS", path: "spec.labelsToApply", wide: true}}
	}
	return infrastructureColumns(kind)
}

func infrastructureColumns(kind model.Kind) []column {
	switch kind {
	case model.KindNode:
		return []column{
			{header: "ASN", path: "spec.bgp.asNumber", wide: true, format: or("(global)")},
			{header: "IPV4", path: "spec.bgp.ipv4Address", wide: true}, {header: "IPV6", path: "spec.bgp.ipv6Address", wide: true},
		}
	case model.KindIPPool:
		return []column{
			{header: "CIDR", path: "spec.cidr"},
			{header: "NAT", path: "spec.natOutgoing", wide: true, format: or("false")},
			{header: "IPIPMODE", path: "spec.ipipMode", wide: true, format: or("Never")},
			{header: "VXLANMODE", path: "spec.vxlanMode", wide: true, format: or("Never")},
			{header: "DISABLED", path: "spec.disabled", wide: true, format: or("false")},
			{header: "DISABLEBGPEXPORT", path: "spec.disableBGPExport", wide: true, format: or("false")},
			{header: "BLOCKSIZE", path: "spec.blockSize", wide: true},
			{header: "SELECTOR", path: "spec.nodeSelector", format: or("all()")},
		}
	case model.KindIPReservation:
		return []column{{header: "CIDRS", path: "spec.reservedCIDRs"}}
	case model.KindIPAMConfiguration:
		return []column{{header: "STRICT-AFFINITY", path: "spec.strictAffinity", format: or("false")},
			{header: "MAX-BLOCKS-PER-HOST", path: "spec.maxBlocksPerHost"}}
	case model.KindBGPConfiguration:
		return []column{
			{header: "LOGSEVERITY", path: "spec.logSeverityScreen", format: or("Info")},
			{header: "MESHENABLED", path: "spec.nodeToNodeMeshEnabled", format: or("true")},
			{header: "ASNUMBER", path: "spec.asNumber", format: or("64512")},
		}
	case model.KindBGPPeer:
		return []column{
			{header: "PEERIP", path: "spec.peerIP"}, {header: "PEER-SELECTOR", path: "spec.peerSelector", wide: true},
			{header: "NODE", path: "spec.node|spec.nodeSelector", format: or("(global)")},
			{header: "ASN", path: "spec.asNumber"},
		}
	case model.KindFelixConfiguration:
		return []column{{header: "LOGSEVERITY", path: "spec.logSeverityScreen", wide: true, format: or("Info")}}
	case model.KindClusterInformation:
		return []column{{header: "GUID", path: "spec.clusterGUID"}, {header: "READY", path: "spec.datastoreReady", format: or("true")},
			{header: "VERSION", path: "spec.calicoVersion", wide: true}}
	case model.KindCalicoNodeStatus:
		return []column{{header: "NODE", path: "spec.node"}, {header: "CLASSES", path: "spec.classes"}}
	}
	return kubernetesColumns(kind)
}

func kubernetesColumns(kind model.Kind) []column {
	aged := column{header: "AGE", path: "metadata.creationTimestamp", format: age}
	switch kind {
	case model.KindPod:
		return []column{
			{header: "STATUS", path: "status.phase"}, aged, {header: "IP", path: "status.podIPs.ip|status.podIP", wide: true},
			{header: "NODE", path: "spec.nodeName", wide: true},
		}
	case model.KindNamespace:
		return []column{{header: "STATUS", path: "status.phase", format: or("Active")}, aged}
	case model.KindService:
		return []column{
			{header: "TYPE", path: "spec.type", format: or("ClusterIP")}, {header: "CLUSTER-IP", path: "spec.clusterIPs|spec.clusterIP"},
			{header: "PORT(S)", path: "spec.ports", format: servicePorts}, aged, {header: "SELECTOR", path: "spec.selector", wide: true},
		}
	case model.KindEndpointSlice:
		return []column{
			{header: "ADDRESSTYPE", path: "addressType"}, {header: "PORTS", path: "ports.port"},
			{header: "ENDPOINTS", path: "endpoints.addresses"}, aged,
		}
	case model.KindServiceAccount:
		return []column{aged}
	}
	return nil
}

// servicePorts is "80/TCP,53/UDP".
func servicePorts(v any, _ time.Time) string {
	items, _ := v.([]any)
	var out []string
	for _, item := range items {
		protocol := text(lookup(item, "protocol"))
		if protocol == "" {
			protocol = "TCP"
		}
		out = append(out, text(lookup(item, "port"))+"/"+protocol)
	}
	return strings.Join(out, ",")
}

// or shows what a missing field stands for.
func or(missing string) func(any, time.Time) string {
	return func(v any, _ time.Time) string {
		if s := text(v); s != "" {
			return s
		}
		return missing
	}
}

// count is the length of a list.
func count(v any, _ time.Time) string {
	items, _ := v.([]any)
	return strconv.Itoa(len(items)) + strings.TrimSuffix(" rules", plural(len(items)))
}

func plural(n int) string {
	if n == 1 {
		return "s"
	}
	return ""
}
