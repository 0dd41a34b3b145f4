package config

import (
	"strings"

	"github.com/tortie-net/tortie/internal/model"
)

// parameter is one setting: its names, its default, and how its text becomes a field of Values.
type parameter struct {
	name  string // in FelixConfiguration
	alias string // in the environment, behind FELIX_, and in files
	text  string // the default
	set   func(v *Values, text string) error
}

// parameters is every setting that Tortie acts on (spec/felix-parameters.md).
func parameters() []parameter {
	return []parameter{
		{"interfacePrefix", "InterfacePrefix", "cali", interfacePrefixes},
		{"defaultEndpointToHostAction", "DefaultEndpointToHostAction", "Drop",
			choice(func(v *Values) *string { return &v.EndpointToHost }, "Drop", "Accept", "Return")},
		{"nftablesFilterDenyAction", "NftablesFilterDenyAction", "Drop",
			choice(func(v *Values) *string { return &v.DenyAction }, "Drop", "Reject")},
		{"ipv6Support", "Ipv6Support", "true", boolean(func(v *Values) *bool { return &v.IPv6 })},
		{"ipForwarding", "IPForwarding", "Enabled", enabled(func(v *Values) *bool { return &v.IPForwarding })},
		{"disableConntrackInvalidCheck", "DisableConntrackInvalidCheck", "false",
			boolean(func(v *Values) *bool { return &v.DisableInvalidCheck })},
		{"allowVXLANPacketsFromWorkloads", "AllowVXLANPacketsFromWorkloads", "false",
			boolean(func(v *Values) *bool { return &v.AllowVXLANFromPods })},
		{"allowIPIPPacketsFromWorkloads", "AllowIPIPPacketsFromWorkloads", "false",
			boolean(func(v *Values) *bool { return &v.AllowIPIPFromPods })},
		{"vxlanPort", "VXLANPort", "4789", port(1, func(v *Values) *uint16 { return &v.VXLANPort })},
		{"logPrefix", "LogPrefix", "calico-packet", text(maxLogPrefix, func(v *Values) *string { return &v.LogPrefix })},
		{"logActionRateLimit", "LogActionRateLimit", "", rate(func(v *Values) *string { return &v.LogRate })},
		{"logActionRateLimitBurst", "LogActionRateLimitBurst", "5",
			integer(0, 9999, func(v *Values) *int { return &v.LogBurst })},
		{"nftablesMarkMask", "NftablesMarkMask", "0xffff0000", markMask},
		{"ipv4NormalRoutePriority", "IPv4NormalRoutePriority", "1024",
			integer(1, maxPriority, func(v *Values) *int { return &v.RoutePriority4 })},
		{"ipv6NormalRoutePriority", "IPv6NormalRoutePriority", "1024",
			integer(1, maxPriority, func(v *Values) *int { return &v.RoutePriority6 })},
		{"deviceRouteProtocol", "DeviceRouteProtocol", "3",
			integer(1, 255, func(v *Values) *int { return &v.DeviceRouteProtocol })},
		{"removeExternalRoutes", "RemoveExternalRoutes", "true",
			boolean(func(v *Values) *bool { return &v.RemoveExternalRoutes })},
		{"routeRefreshInterval", "RouteRefreshInterval", "90", routeRefresh},
		{"programClusterRoutes", "ProgramClusterRoutes", "EnabledIPIPOnly", clusterRoutes},
		{"natOutgoingExclusions", "NATOutgoingExclusions", "IPPoolsOnly",
			choice(func(v *Values) *string { return &v.NATExclusions }, "IPPoolsOnly", "IPPoolsAndHostIPs")},
		{"natOutgoingAddress", "NATOutgoingAddress", "", natAddress},
		{"natPortRange", "NATPortRange", "", natPorts},
		{"workloadSourceSpoofing", "WorkloadSourceSpoofing", "Disabled",
			choice(func(v *Values) *string { return &v.SourceSpoofing }, "Disabled", "Any")},
		{"prometheusMetricsEnabled", "PrometheusMetricsEnabled", "false",
			boolean(func(v *Values) *bool { return &v.MetricsEnabled })},
		{"prometheusMetricsHost", "PrometheusMetricsHost", "", hostName(func(v *Values) *string { return &v.MetricsHost })},
		{"prometheusMetricsPort", "PrometheusMetricsPort", "9091", port(0, func(v *Values) *uint16 { return &v.MetricsPort })},
		{"healthEnabled", "HealthEnabled", "false", boolean(func(v *Values) *bool { return &v.HealthEnabled })},
		{"healthHost", "HealthHost", "localhost", hostName(func(v *Values) *string { return &v.HealthHost })},
		{"healthPort", "HealthPort", "9099", port(0, func(v *Values) *uint16 { return &v.HealthPort })},
		{"logSeverityScreen", "LogSeverityScreen", "Info", choice(func(v *Values) *string { return &v.LogSeverity },
			"Trace", "Debug", "Info", "Warning", "Error", "Fatal")},
		{"failsafeInboundHostPorts", "FailsafeInboundHostPorts",
			"tcp:22,udp:68,tcp:179,tcp:2379,tcp:2380,tcp:5473,tcp:6443,tcp:6666,tcp:6667",
			protoPorts(func(v *Values) *[]ProtoPort { return &v.FailsafeInbound })},
		{"failsafeOutboundHostPorts", "FailsafeOutboundHostPorts",
			"udp:53,udp:67,tcp:179,tcp:2379,tcp:2380,tcp:5473,tcp:6443,tcp:6666,tcp:6667",
			protoPorts(func(v *Values) *[]ProtoPort { return &v.FailsafeOutbound })},
	}
}

const (
	maxPriority  = 2147483646
	maxLogPrefix = 127 // NF_LOG_PREFIXLEN less the terminator
)

// clusterRoutesNames are the texts of model.ClusterRoutes.
var clusterRoutesNames = [...]string{
	model.ClusterRoutesDisabled:    "Disabled",
	model.ClusterRoutesEnabled:     "Enabled",
	model.ClusterRoutesIPIPOnly:    "EnabledIPIPOnly",
	model.ClusterRoutesNoEncapOnly: "EnabledNoEncapOnly",
}

func clusterRoutes(v *Values, text string) error {
	for i, name := range clusterRoutesNames {
		if name != "" && strings.EqualFold(name, text) {
			v.ClusterRoutes = model.ClusterRoutes(i)
			return nil
		}
	}
	return notOneOf(clusterRoutesNames[1:])
}
