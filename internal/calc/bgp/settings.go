package bgp

import (
	"cmp"

	"github.com/tortie-net/tortie/internal/model"
)

// Defaults of BGPConfiguration.
const (
	DefaultAS         = 64512
	DefaultListenPort = 179
	DefaultPriority   = 1024
)

// NodeConfiguration is the name of the BGPConfiguration or FelixConfiguration of one node.
func NodeConfiguration(node string) string { return "node." + node }

// Merge lays a node's configuration over the global one and fills in the defaults. Either may be nil.
func Merge(global, own *model.BGPConfiguration) model.BGPConfiguration {
	var g, o model.BGPConfiguration
	if global != nil {
		g = *global
	}
	if own != nil {
		o = *own
	}
	g.ASNumber = cmp.Or(o.ASNumber, g.ASNumber, DefaultAS)
	g.ListenPort = cmp.Or(o.ListenPort, g.ListenPort, DefaultListenPort)
	g.BindNodeIP = g.BindNodeIP || o.BindNodeIP
	g.ClusterRoutes = cmp.Or(o.ClusterRoutes, g.ClusterRoutes, model.ClusterRoutesNoEncapOnly)
	g.NormalRoutePriority4 = cmp.Or(o.NormalRoutePriority4, g.NormalRoutePriority4, DefaultPriority)
	g.NormalRoutePriority6 = cmp.Or(o.NormalRoutePriority6, g.NormalRoutePriority6, DefaultPriority)
	if o.NodeToNodeMesh != nil {
		g.NodeToNodeMesh = o.NodeToNodeMesh
	}
	return g
}

// OwnsNoEncap tells whether an owner with this setting programs the routes of pools without encapsulation.
func OwnsNoEncap(c model.ClusterRoutes) bool {
	return c == model.ClusterRoutesEnabled || c == model.ClusterRoutesNoEncapOnly
}
