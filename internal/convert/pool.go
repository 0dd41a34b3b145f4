package convert

import (
	"net/netip"
	"slices"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// blockSizes are the prefix lengths that blocks of a family may have, and the one they have unless told.
func blockSizes(cidr netip.Prefix) (least, most, usual int) {
	if cidr.Addr().Is4() {
		return 20, 32, 26
	}
	return 116, 128, 122
}

var (
	linkLocal4 = netip.MustParsePrefix("169.254.0.0/16")
	linkLocal6 = netip.MustParsePrefix("fe80::/10")
)

// ipPool converts a pool; what a stored one leaves out has its default (spec/store-layout.md §5).
func (p *problems) ipPool(v *v3.IPPool) *model.IPPool {
	s := &v.Spec
	out := &model.IPPool{
		Name: p.key.Name, NATOutgoing: s.NATOutgoing, Disabled: s.Disabled, DisableBGPExport: s.DisableBGPExport,
		IPIP:  p.encapsulation("spec.ipipMode", s.IPIPMode),
		VXLAN: p.encapsulation("spec.vxlanMode", s.VXLANMode),
	}
	cidr, ok := p.parseCIDR("spec.cidr", s.CIDR)
	if ok {
		out.CIDR = cidr
		p.poolSize(out, s.BlockSize)
		p.poolRange(out)
	}
	p.allowedUses(out, s.AllowedUses)
	if s.AssignmentMode != nil {
		switch *s.AssignmentMode {
		case v3.AssignmentManual:
			out.Manual = true
		case v3.AssignmentAutomatic, "":
		default:
			p.add("spec.assignmentMode", string(*s.AssignmentMode), "%s", oneOf("Automatic", "Manual"))
		}
	}
	out.NodeSelector = p.parseLocalSelector("spec.nodeSelector", s.NodeSelector)
	if out.NodeSelector == nil {
		out.NodeSelector = selector.All()
	}
	out.NamespaceSelector = p.parseLocalSelector("spec.namespaceSelector", s.NamespaceSelector)
	p.poolUse(out, s)
	return out
}

func (p *problems) encapsulation(path string, mode v3.EncapsulationMode) model.EncapMode {
	switch mode {
	case v3.EncapsulationNever, "":
	case v3.EncapsulationAlways:
		return model.EncapAlways
	case v3.EncapsulationCrossSubnet:
		return model.EncapCrossSubnet
	default:
		p.add(path, string(mode), "%s", oneOf("Never", "Always", "CrossSubnet"))
	}
	return model.EncapNever
}

func (p *problems) poolSize(out *model.IPPool, size int) {
	least, most, usual := blockSizes(out.CIDR)
	if size == 0 {
		size = usual
	}
	out.BlockSize = size
	switch {
	case size < least || size > most:
		p.add("spec.blockSize", size, "must be %d to %d", least, most)
	case out.CIDR.Bits() > size:
		p.add("spec.cidr", out.CIDR, "is smaller than one block: must be /%d or shorter", size)
	}
}

func (p *problems) poolRange(out *model.IPPool) {
	for _, local := range []netip.Prefix{linkLocal4, linkLocal6} {
		if out.CIDR.Overlaps(local) {
			p.strictly("spec.cidr", out.CIDR, "overlaps with the link-local range %s", local)
		}
	}
	if out.CIDR.Addr().Is6() && out.IPIP != model.EncapNever {
		p.add("spec.ipipMode", nil, "must be Never: IPIP carries IPv4 only")
	}
	if out.IPIP != model.EncapNever && out.VXLAN != model.EncapNever {
		p.add("spec.ipipMode", nil, "cannot be combined with vxlanMode")
	}
}

func (p *problems) allowedUses(out *model.IPPool, uses []v3.IPPoolAllowedUse) {
	if len(uses) == 0 {
		out.Workload, out.Tunnel = true, true
	}
	for i, use := range uses {
		switch use {
		case v3.IPPoolUseWorkload:
			out.Workload = true
		case v3.IPPoolUseTunnel:
			out.Tunnel = true
		case v3.IPPoolUseLoadBalancer:
			out.LoadBalancer = true
		default:
			p.add(index("spec.allowedUses", i), string(use), "%s", oneOf("Workload", "Tunnel", "LoadBalancer"))
		}
		if slices.Contains(uses[:i], use) {
			p.strictly(index("spec.allowedUses", i), string(use), "is named twice")
		}
	}
}

// poolUse checks what the uses of a pool demand of its other fields.
func (p *problems) poolUse(out *model.IPPool, s *v3.IPPoolSpec) {
	if out.LoadBalancer {
		if out.Workload || out.Tunnel {
			p.add("spec.allowedUses", nil, "LoadBalancer cannot be combined with Workload or Tunnel")
		}
		if out.IPIP != model.EncapNever || out.VXLAN != model.EncapNever {
			p.add("spec.allowedUses", nil, "LoadBalancer needs ipipMode and vxlanMode Never")
		}
		if out.DisableBGPExport {
			p.add("spec.disableBGPExport", "true", "must be false: allowedUses has LoadBalancer")
		}
		if s.NodeSelector != "" && s.NodeSelector != "all()" {
			p.add("spec.nodeSelector", s.NodeSelector, "must be all(): allowedUses has LoadBalancer")
		}
	}
	if out.NamespaceSelector != nil && slices.Contains(s.AllowedUses, v3.IPPoolUseTunnel) {
		p.strictly("spec.namespaceSelector", s.NamespaceSelector, "must be empty: allowedUses has Tunnel")
	}
}

// ipamConfiguration is the settings with their defaults.
func ipamConfiguration(v *v3.IPAMConfiguration) *model.IPAMConfig {
	out := &model.IPAMConfig{StrictAffinity: v.Spec.StrictAffinity, AutoAllocateBlocks: true}
	if v.Spec.AutoAllocateBlocks != nil {
		out.AutoAllocateBlocks = *v.Spec.AutoAllocateBlocks
	}
	if v.Spec.MaxBlocksPerHost != nil {
		out.MaxBlocksPerHost = int(max(*v.Spec.MaxBlocksPerHost, 0))
	}
	if v.Spec.IPCooldownSeconds != nil {
		out.CooldownSeconds = int(max(*v.Spec.IPCooldownSeconds, 0))
	}
	if v.Spec.KubeVirtVMAddressPersistence != nil {
		out.VMPersistence = *v.Spec.KubeVirtVMAddressPersistence
	}
	return out
}
