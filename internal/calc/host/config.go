package host

import (
	"fmt"
	"strings"

	"github.com/tortie-net/tortie/internal/calc/bgp"
	"github.com/tortie-net/tortie/internal/config"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Settings are the stored objects that a node's settings come from. The maps are the caller's.
type Settings struct {
	Felix   map[string]*model.FelixConfiguration
	BGP     *bgp.Cluster
	Cluster *model.ClusterInformation // nil: not defined
}

// The names under which an agent hands in what its environment and its file say, as FelixConfigurations. No stored object
// can have them.
const (
	Environment = "environment:"
	File        = "file:"
)

// Config resolves the settings of a node: environment and file, where the agent handed them in, over its own
// FelixConfiguration over the default one over the defaults.
func (s *Settings) Config(node string) *intent.Config {
	var sources []config.Source
	for _, name := range []string{Environment, File, bgp.NodeConfiguration(node), "default"} {
		f := s.Felix[name]
		if f == nil {
			continue
		}
		source := string(model.KindFelixConfiguration) + "/" + name
		if name == Environment || name == File {
			source = strings.TrimSuffix(name, ":")
		}
		sources = append(sources, config.Source{Name: source, Values: f.Values})
	}
	values, problems := config.Resolve(sources...)
	o := fill(node, &values)
	for _, p := range problems {
		o.Problems = append(o.Problems, p.Error())
	}
	s.shareRoutes(o, values.ClusterRoutes, s.BGP.Config(node).ClusterRoutes)
	o.DatastoreReady = true
	if s.Cluster != nil {
		o.DatastoreReady, o.ClusterGUID = s.Cluster.Ready, s.Cluster.GUID
	}
	return o
}

// fill moves values to the fields that nodes get.
func fill(node string, v *config.Values) *intent.Config {
	o := &intent.Config{
		ID: node, InterfacePrefixes: v.InterfacePrefixes, DenyReject: v.DenyAction == "Reject", IPv6: v.IPv6,
		IPForwarding: v.IPForwarding, DisableInvalidCheck: v.DisableInvalidCheck,
		AllowVXLANFromPods: v.AllowVXLANFromPods, AllowIPIPFromPods: v.AllowIPIPFromPods, VXLANPort: v.VXLANPort,
		LogPrefix: v.LogPrefix, LogRate: v.LogRate, LogBurst: v.LogBurst, MarkMask: v.MarkMask,
		RoutePriority4: v.RoutePriority4, RoutePriority6: v.RoutePriority6, DeviceRouteProtocol: v.DeviceRouteProtocol,
		NATExcludeHosts: v.NATExclusions == "IPPoolsAndHostIPs", NATOutgoingAddress: v.NATOutgoingAddress,
		NATPortRange:   intent.PortRange{Min: v.NATPorts[0], Max: v.NATPorts[1]},
		MetricsEnabled: v.MetricsEnabled, MetricsHost: v.MetricsHost, MetricsPort: v.MetricsPort,
		HealthEnabled: v.HealthEnabled, HealthHost: v.HealthHost, HealthPort: v.HealthPort,
		LogSeverity: v.LogSeverity, RouteRefresh: v.RouteRefresh, RemoveExternalRoutes: v.RemoveExternalRoutes,
		WorkloadSourceSpoofAny: v.SourceSpoofing == "Any",
	}
	switch v.EndpointToHost {
	case "Accept":
		o.EndpointToHost = intent.EndpointToHostAccept
	case "Return":
		o.EndpointToHost = intent.EndpointToHostReturn
	default:
		o.EndpointToHost = intent.EndpointToHostDrop
	}
	return o
}

// shareRoutes says who programs the cluster routes of pools without encapsulation. Two owners would overwrite each other
// and none leaves pods of other nodes unreachable: both are reported, and of two BGP is the one.
func (s *Settings) shareRoutes(o *intent.Config, felix, speaker model.ClusterRoutes) {
	o.ProgramNoEncapRoutes, o.BGPClusterRoutes = bgp.OwnsNoEncap(felix), bgp.OwnsNoEncap(speaker)
	const remedy = "FelixConfiguration.programClusterRoutes and BGPConfiguration.programClusterRoutes must be complementary, " +
		"such as EnabledIPIPOnly and EnabledNoEncapOnly, or Enabled and Disabled"
	switch {
	case o.ProgramNoEncapRoutes && o.BGPClusterRoutes:
		o.ProgramNoEncapRoutes = false
		o.Problems = append(o.Problems, fmt.Sprintf("both sides program routes without encapsulation; BGP does it: %s", remedy))
	case !o.ProgramNoEncapRoutes && !o.BGPClusterRoutes:
		o.Problems = append(o.Problems, fmt.Sprintf("nobody programs routes without encapsulation: %s", remedy))
	}
}
