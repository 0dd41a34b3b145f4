package convert

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

func (p *problems) bgpConfiguration(v *v3.BGPConfiguration) *model.BGPConfiguration {
	s := &v.Spec
	out := &model.BGPConfiguration{
		Name: p.key.Name, NodeToNodeMesh: s.NodeToNodeMeshEnabled, ListenPort: s.ListenPort,
		MeshMaxRestartTime: durationText(s.NodeMeshMaxRestartTime),
		MeshPassword:       secretRef(s.NodeMeshPassword),
		ServiceClusterIPs:  p.serviceCIDRs("spec.serviceClusterIPs", s.ServiceClusterIPs),
		ServiceExternalIPs: p.serviceCIDRs("spec.serviceExternalIPs", s.ServiceExternalIPs),
		ServiceLBIPs:       p.serviceCIDRs("spec.serviceLoadBalancerIPs", s.ServiceLoadBalancerIPs),
		IgnoredInterfaces:  s.IgnoredInterfaces,
	}
	if s.ASNumber != nil {
		out.ASNumber = uint32(*s.ASNumber)
	}
	if s.IPv4NormalRoutePriority != nil {
		out.NormalRoutePriority4 = *s.IPv4NormalRoutePriority
	}
	if s.IPv6NormalRoutePriority != nil {
		out.NormalRoutePriority6 = *s.IPv6NormalRoutePriority
	}
	if s.BindMode != nil {
		switch *s.BindMode {
		case "NodeIP":
			out.BindNodeIP = true
		case "None", "":
		default:
			p.add("spec.bindMode", *s.BindMode, "%s", oneOf("None", "NodeIP"))
		}
	}
	if s.ProgramClusterRoutes != nil {
		out.ClusterRoutes = p.clusterRoutes("spec.programClusterRoutes", *s.ProgramClusterRoutes)
	}
	p.meshSettings(s)
	p.communities(s, out)
	p.localPeering(s)
	return out
}

func (p *problems) clusterRoutes(path, text string) model.ClusterRoutes {
	switch text {
	case "Enabled":
		return model.ClusterRoutesEnabled
	case "Disabled":
		return model.ClusterRoutesDisabled
	case "EnabledIPIPOnly":
		return model.ClusterRoutesIPIPOnly
	case "EnabledNoEncapOnly":
		return model.ClusterRoutesNoEncapOnly
	}
	p.add(path, text, "%s", oneOf("Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly"))
	return model.ClusterRoutesUnset
}

// meshSettings checks that settings of the mesh come with a mesh.
func (p *problems) meshSettings(s *v3.BGPConfigurationSpec) {
	if s.NodeToNodeMeshEnabled == nil || *s.NodeToNodeMeshEnabled {
		return
	}
	if s.NodeMeshPassword != nil {
		p.strictly("spec.nodeMeshPassword", nil, "cannot be set when nodeToNodeMeshEnabled is false")
	}
	if s.NodeMeshMaxRestartTime != nil {
		p.strictly("spec.nodeMeshMaxRestartTime", durationText(s.NodeMeshMaxRestartTime), "cannot be set when nodeToNodeMeshEnabled is false")
	}
}

func (p *problems) serviceCIDRs(path string, list []v3.ServiceCIDR) []netip.Prefix {
	var out []netip.Prefix
	for i := range list {
		if cidr, ok := p.parseCIDR(index(path, i)+".cidr", list[i].CIDR); ok {
			out = append(out, cidr)
		}
	}
	return out
}

// communityValue is a standard community aa:nn or a large one aa:nn:mm.
var communityValue = regexp.MustCompile(`^\d{1,10}:\d{1,10}(:\d{1,10})?$`)

func (p *problems) community(path, value string) bool {
	ok := communityValue.MatchString(value)
	if ok {
		parts := strings.Split(value, ":")
		bits := 32
		if len(parts) == 2 {
			bits = 16
		}
		for _, part := range parts {
			if _, err := strconv.ParseUint(part, 10, bits); err != nil {
				ok = false
			}
		}
	}
	if !ok {
		p.add(path, value, "must be a community aa:nn (each 0 to 65535) or aa:nn:mm (each 0 to 4294967295)")
	}
	return ok
}

func (p *problems) communities(s *v3.BGPConfigurationSpec, out *model.BGPConfiguration) {
	for i, c := range s.Communities {
		at := index("spec.communities", i)
		if c.Name == "" {
			p.add(at+".name", nil, "is missing")
		}
		if !p.community(at+".value", c.Value) || c.Name == "" {
			continue
		}
		if out.Communities == nil {
			out.Communities = make(map[string]string)
		}
		if _, ok := out.Communities[c.Name]; ok {
			p.strictly(at+".name", c.Name, "is named twice")
		}
		out.Communities[c.Name] = c.Value
	}
	if len(s.Communities) > 0 && len(s.PrefixAdvertisements) == 0 {
		p.strictly("spec.communities", nil, "are defined but not used in prefixAdvertisements")
	}
	for i, a := range s.PrefixAdvertisements {
		at := index("spec.prefixAdvertisements", i)
		cidr, ok := p.parseCIDR(at+".cidr", a.CIDR)
		if !ok {
			continue
		}
		for j, c := range a.Communities {
			if _, named := out.Communities[c]; !named && !p.community(index(at+".communities", j), c) {
				continue
			}
			if out.PrefixCommunities == nil {
				out.PrefixCommunities = make(map[netip.Prefix][]string)
			}
			out.PrefixCommunities[cidr] = append(out.PrefixCommunities[cidr], c)
		}
	}
}

func (p *problems) localPeering(s *v3.BGPConfigurationSpec) {
	if s.LocalWorkloadPeeringIPV4 != "" {
		p.parseAddrOf("spec.localWorkloadPeeringIPV4", s.LocalWorkloadPeeringIPV4, 4)
	}
	if s.LocalWorkloadPeeringIPV6 != "" {
		p.parseAddrOf("spec.localWorkloadPeeringIPV6", s.LocalWorkloadPeeringIPV6, 6)
	}
}

func durationText(d *metav1.Duration) string {
	if d == nil {
		return ""
	}
	return d.Duration.String()
}

func secretRef(password *v3.BGPPassword) model.SecretRef {
	if password == nil || password.SecretKeyRef == nil {
		return model.SecretRef{}
	}
	return model.SecretRef{Name: password.SecretKeyRef.Name, Key: password.SecretKeyRef.Key}
}

func (p *problems) bgpPeer(v *v3.BGPPeer) *model.BGPPeer {
	s := &v.Spec
	out := &model.BGPPeer{
		Name: p.key.Name, Node: s.Node, PeerAS: uint32(s.ASNumber), Password: secretRef(s.Password), Filters: s.Filters,
		NodeSelector: p.parseLocalSelector("spec.nodeSelector", s.NodeSelector),
		PeerSelector: p.parseLocalSelector("spec.peerSelector", s.PeerSelector),
		KeepNextHop:  s.KeepOriginalNextHop || s.NextHopMode != nil && *s.NextHopMode == "Keep",
		MaxRestart:   durationText(s.MaxRestartTime),
	}
	if s.PeerIP != "" {
		out.PeerIP, out.PeerPort = p.peerAddress("spec.peerIP", s.PeerIP)
	}
	if s.LocalASNumber != nil {
		out.LocalAS = uint32(*s.LocalASNumber)
	}
	p.parseLocalSelector("spec.localWorkloadSelector", s.LocalWorkloadSelector)
	if s.ReachableBy != "" {
		p.parseAddr("spec.reachableBy", s.ReachableBy)
	}
	p.bgpPeerFields(s)
	return out
}

// peerAddress reads "192.0.2.9", "192.0.2.9:1790", "2001:db8::9" or "[2001:db8::9]:1790".
func (p *problems) peerAddress(path, text string) (netip.Addr, uint16) {
	if addr, ok := readAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); ok {
		return addr, 0
	}
	if host, port, err := net.SplitHostPort(text); err == nil {
		addr, ok := readAddr(host)
		number, err := strconv.ParseUint(port, 10, 16)
		if ok && err == nil && number > 0 {
			return addr, uint16(number)
		}
	}
	p.add(path, text, "must be an address, with a port where it is not 179, as 192.0.2.9 or [2001:db8::9]:1790")
	return netip.Addr{}, 0
}

// bgpPeerFields checks which fields go together.
func (p *problems) bgpPeerFields(s *v3.BGPPeerSpec) {
	for _, rule := range []struct {
		broken bool
		path   string
		reason string
	}{
		{s.Node != "" && s.NodeSelector != "", "spec.node", "cannot be combined with nodeSelector"},
		{s.PeerIP != "" && s.PeerSelector != "", "spec.peerIP", "cannot be combined with peerSelector"},
		{s.ASNumber != 0 && s.PeerSelector != "", "spec.asNumber", "must be empty when peerSelector is set"},
		{s.PeerIP != "" && s.LocalWorkloadSelector != "", "spec.peerIP", "must be empty when localWorkloadSelector is set"},
		{s.PeerSelector != "" && s.LocalWorkloadSelector != "", "spec.peerSelector", "must be empty when localWorkloadSelector is set"},
		{s.ASNumber == 0 && s.LocalWorkloadSelector != "", "spec.asNumber", "is missing: localWorkloadSelector is set"},
		{s.ReachableBy != "" && s.PeerIP == "", "spec.reachableBy", "must be empty when peerIP is empty"},
		{s.KeepOriginalNextHop && s.NextHopMode != nil, "spec.keepOriginalNextHop", "cannot be combined with nextHopMode, which takes its place"},
	} {
		if rule.broken {
			p.add(rule.path, nil, "%s", rule.reason)
		}
	}
	if s.PeerIP == "" && s.PeerSelector == "" && s.LocalWorkloadSelector == "" {
		p.strictly("spec.peerIP", nil, "is missing: must have peerIP, peerSelector or localWorkloadSelector")
	}
	if s.PeerIP != "" && s.ASNumber == 0 {
		p.strictly("spec.asNumber", nil, "is missing: peerIP is set")
	}
}
