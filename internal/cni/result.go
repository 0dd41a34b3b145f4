package cni

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
)

// resultVersion is the form in which the journal keeps results.
const resultVersion = "1.1.0"

func marshal(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode CNI result: %w", err)
	}
	return raw, nil
}

func ipNet(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// result is what ADD answers: the host's interface, the workload's, and its addresses and routes.
func (r *request) result(e entry) (json.RawMessage, error) {
	b := e.Binding
	out := types100.Result{
		CNIVersion: resultVersion,
		Interfaces: []*types100.Interface{
			{Name: b.Interface},
			{Name: b.IfName, Mac: b.MAC, Mtu: e.MTU, Sandbox: r.conf.NetnsPath},
		},
		DNS: r.conf.DNS,
	}
	for _, a := range b.Addresses {
		out.IPs = append(out.IPs, &types100.IPConfig{Interface: types100.Int(1), Address: ipNet(netip.PrefixFrom(a, a.BitLen()))})
	}
	for _, p := range e.Routes {
		gateway := gatewayIPv6
		if p.Addr().Is4() {
			gateway = gatewayIPv4
		}
		out.Routes = append(out.Routes, &types.Route{Dst: ipNet(p), GW: gateway.AsSlice()})
	}
	return marshal(&out)
}

// convertResult turns a result of resultVersion into the one that the configuration asks for.
func convertResult(raw json.RawMessage, version string) (json.RawMessage, error) {
	full, err := create.Create(resultVersion, raw)
	if err != nil {
		return nil, fmt.Errorf("read CNI result: %w", err)
	}
	if r, err := types100.GetResult(full); err == nil && version != resultVersion {
		for _, i := range r.Interfaces {
			i.Mtu = 0 // new in 1.1.0
		}
		full = r
	}
	converted, err := full.GetAsVersion(version)
	if err != nil {
		return nil, types.NewError(types.ErrIncompatibleCNIVersion, fmt.Sprintf("the result cannot be given in CNI %s", version), err.Error())
	}
	return marshal(converted)
}
