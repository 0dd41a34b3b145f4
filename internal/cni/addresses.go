package cni

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// annotationPrefix of the annotations that ADD acts on. A pod's come before its namespace's; both are merged in
// intent.Endpoint.
const annotationPrefix = "cni.projectcalico.org/"

// addressing is where a workload's addresses come from.
type addressing struct {
	request *AddressRequest // nil: nothing is to be assigned
	given   []netip.Addr    // addresses that somebody else answers for
	routes  []netip.Prefix  // of a delegated plugin's result; nil: the defaults
}

// textList reads an annotation that is a JSON list of texts.
func textList(annotations map[string]string, name string) ([]string, error) {
	raw, ok := annotations[annotationPrefix+name]
	if !ok || raw == "" {
		return nil, nil
	}
	var list []string
	if err := json.Unmarshal([]byte(raw), &list); err != nil || len(list) == 0 {
		return nil, badConf(`annotation %s%s: %q is not a JSON list of texts, as ["…"]`, annotationPrefix, name, raw)
	}
	return list, nil
}

// addressList reads an annotation with at most one address of each family.
func addressList(annotations map[string]string, name string) ([]netip.Addr, error) {
	list, err := textList(annotations, name)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return nil, badConf("annotation %s%s: %q is not an address", annotationPrefix, name, s)
		}
		addrs = append(addrs, a.Unmap())
	}
	if len(addrs) > 2 || len(addrs) == 2 && addrs[0].Is4() == addrs[1].Is4() {
		return nil, badConf("annotation %s%s: %v: at most one IPv4 and one IPv6 address", annotationPrefix, name, addrs)
	}
	return addrs, nil
}

// addressing decides by configuration, CNI_ARGS and annotations. The endpoint is nil for a workload that only CNI
// knows of.
func (r *request) addressing(ep *intent.Endpoint) (addressing, error) {
	var annotations map[string]string
	if ep != nil {
		annotations = ep.Annotations
	}
	if !r.conf.IPAM.own() && !r.ipamOnly() {
		return delegated(r.conf)
	}
	given, err := addressList(annotations, "ipAddrsNoIpam")
	if err != nil {
		return addressing{}, err
	}
	exact, err := addressList(annotations, "ipAddrs")
	if err != nil {
		return addressing{}, err
	}
	switch {
	case given != nil && exact != nil:
		return addressing{}, badConf("annotations %[1]sipAddrs and %[1]sipAddrsNoIpam exclude each other", annotationPrefix)
	case given != nil && !r.conf.FeatureControl.IPAddrsNoIPAM:
		return addressing{}, badConf("annotation %sipAddrsNoIpam: not allowed: feature_control.ip_addrs_no_ipam is not set in the network configuration", annotationPrefix)
	case given != nil:
		return addressing{given: given}, nil
	case exact == nil && r.args.addr.IsValid():
		exact = []netip.Addr{r.args.addr}
	}
	req := &AddressRequest{Handle: r.handle(), Attributes: r.attributes(ep), Addresses: exact}
	if exact != nil {
		req.Explicit = true
		return addressing{request: req}, nil
	}
	if err := r.automatic(req, ep, annotations); err != nil {
		return addressing{}, err
	}
	return addressing{request: req}, nil
}

// automatic fills in families and pools.
func (r *request) automatic(req *AddressRequest, ep *intent.Endpoint, annotations map[string]string) error {
	req.Want4, req.Want6 = r.conf.families()
	families, err := textList(annotations, "ipFamilies")
	if err != nil {
		return err
	}
	if families != nil {
		req.Want4, req.Want6 = slices.Contains(families, "IPv4"), slices.Contains(families, "IPv6")
		for _, f := range families {
			if f != "IPv4" && f != "IPv6" {
				return badConf(`annotation %sipFamilies: %q: must be "IPv4" or "IPv6"`, annotationPrefix, f)
			}
		}
	}
	if !req.Want4 && !req.Want6 {
		return badConf(`no address family is asked for: set ipam.assign_ipv4 or ipam.assign_ipv6 to "true"`)
	}
	pools := func(annotation string, configured []string) ([]string, error) {
		list, err := textList(annotations, annotation)
		if list == nil {
			list = configured
		}
		return list, err
	}
	if req.Pools4, err = pools("ipv4pools", r.conf.IPAM.IPv4Pools); err != nil {
		return err
	}
	if req.Pools6, err = pools("ipv6pools", r.conf.IPAM.IPv6Pools); err != nil {
		return err
	}
	req.Explicit = req.Pools4 != nil || req.Pools6 != nil
	if ep != nil && req.Pools4 == nil {
		req.Pools4 = ep.Pools4
	}
	if ep != nil && req.Pools6 == nil {
		req.Pools6 = ep.Pools6
	}
	return nil
}

// attributes tell everybody who reads the block whose address it is.
func (r *request) attributes(ep *intent.Endpoint) map[string]string {
	a := map[string]string{model.AttrNode: r.server.o.Node, model.AttrTimestamp: time.Now().UTC().Format(time.RFC3339)}
	if r.args.pod == "" {
		return a
	}
	a[model.AttrNamespace], a[model.AttrPod] = r.args.namespace, r.args.pod
	if uid := r.uid(ep); uid != "" {
		a[model.AttrUID] = uid
	}
	return a
}

func (r *request) uid(ep *intent.Endpoint) string {
	if ep != nil && ep.UID != "" {
		return ep.UID
	}
	return r.args.uid
}

// delegated reads the result of another IPAM plugin, which tortie-cni ran.
func delegated(c *netConf) (addressing, error) {
	if c.IPAM.Type == "" {
		return addressing{}, badConf("ipam.type is missing: must be tortie-ipam, calico-ipam or the name of an IPAM plugin")
	}
	if len(c.IPAMResult) == 0 {
		return addressing{}, badConf("ipam.type %q: the plugin's result is missing", c.IPAM.Type)
	}
	any, err := create.CreateFromBytes(c.IPAMResult)
	if err != nil {
		return addressing{}, types.NewError(types.ErrDecodingFailure, "result of IPAM plugin "+c.IPAM.Type, err.Error())
	}
	result, err := types100.NewResultFromResult(any)
	if err != nil {
		return addressing{}, types.NewError(types.ErrDecodingFailure, "result of IPAM plugin "+c.IPAM.Type, err.Error())
	}
	var out addressing
	for _, ip := range result.IPs {
		a, ok := netip.AddrFromSlice(ip.Address.IP)
		if !ok {
			return addressing{}, badConf("ipam.type %q gave an address that is none: %v", c.IPAM.Type, ip.Address)
		}
		out.given = append(out.given, a.Unmap())
	}
	if len(out.given) == 0 {
		return addressing{}, badConf("ipam.type %q gave no address", c.IPAM.Type)
	}
	for _, route := range result.Routes {
		a, ok := netip.AddrFromSlice(route.Dst.IP)
		ones, _ := route.Dst.Mask.Size()
		if p := netip.PrefixFrom(a.Unmap(), ones); ok && p.IsValid() {
			out.routes = append(out.routes, p.Masked())
		}
	}
	return out, nil
}

// assign gets the addresses.
func (r *request) assign(ctx context.Context, a addressing) ([]netip.Addr, error) {
	if a.request == nil {
		return a.given, nil
	}
	r.server.crash("ipam.assign")
	r.asked = true
	addrs, err := r.server.o.Allocator.Assign(ctx, *a.request)
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(a.given), addrs...), nil
}
