package cni

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"

	"github.com/tortie-net/tortie/internal/kernel"
)

// check implements CHECK: what ADD made is still so, in the workload, on the host, in the journal, and in what the
// runtime remembers.
func (r *request) check(context.Context) error {
	s := r.server
	e, ok := s.o.Journal.get(r.attachment())
	if !ok || e.State != stateBound {
		return types.NewError(types.ErrUnknownContainer, fmt.Sprintf("container %s has no interface %s on this node", r.raw.ContainerID, r.raw.IfName), "")
	}
	if e.Binding.Network != r.conf.Name {
		return badConf("container %s is in network %q, not %q", r.raw.ContainerID, e.Binding.Network, r.conf.Name)
	}
	if r.netns == nil {
		return types.NewError(types.ErrInvalidNetNS, "CHECK needs CNI_NETNS", "")
	}
	if dev, ino := r.netns.ID(); e.NetnsID != [2]uint64{dev, ino} {
		return types.NewError(types.ErrInvalidNetNS, "CNI_NETNS is not the namespace that ADD was given", "")
	}
	err := errors.Join(s.intact(e, r.netns), s.routed(e), r.remembered(e))
	if err != nil {
		return types.NewError(types.ErrInternal, "what ADD made was changed: "+err.Error(), "")
	}
	return nil
}

// intact compares both ends of the pair with the journal.
func (s *Server) intact(e entry, netns *kernel.Namespace) error {
	b := e.Binding
	host, err := s.host.Link(b.Interface)
	if err != nil {
		return fmt.Errorf("host side: %w", err)
	}
	if host.MAC != hostMAC || !host.Up {
		return fmt.Errorf("host side: interface %s: up %v, MAC %s: want up, %s", b.Interface, host.Up, host.MAC, hostMAC)
	}
	inside, err := kernel.Open(netns)
	if err != nil {
		return err
	}
	defer inside.Close()
	l, err := inside.Link(b.IfName)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	if l.Peer != host.Index {
		return fmt.Errorf("workload: interface %s is not the other end of %s", b.IfName, b.Interface)
	}
	if l.MAC != b.MAC || !l.Up || e.MTU != 0 && l.MTU != e.MTU {
		return fmt.Errorf("workload: interface %s: up %v, MAC %s, MTU %d: want up, %s, %d", b.IfName, l.Up, l.MAC, l.MTU, b.MAC, e.MTU)
	}
	return intactInside(inside, e, l)
}

func intactInside(inside *kernel.Handle, e entry, l kernel.Link) error {
	b := e.Binding
	addrs, err := inside.Addresses(b.IfName)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	for _, a := range b.Addresses {
		want := netip.PrefixFrom(a, a.BitLen())
		if !slices.ContainsFunc(addrs, func(have kernel.Address) bool { return have.Prefix == want }) {
			return fmt.Errorf("workload: interface %s: address %v is missing", b.IfName, want)
		}
	}
	haveRoutes, err := inside.Routes()
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	haveNeighbours, err := inside.Neighbours()
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	routes, neighbours := insideRoutes(e, l.Index)
	for _, want := range routes {
		if !slices.ContainsFunc(haveRoutes, func(have kernel.Route) bool { return have.Equal(want) }) {
			return fmt.Errorf("workload: %v is missing", want)
		}
	}
	for _, want := range neighbours {
		if !slices.Contains(haveNeighbours, want) {
			return fmt.Errorf("workload: permanent %v with MAC %s is missing", want, want.MAC)
		}
	}
	return nil
}

// routed looks for the host's routes to the workload's addresses.
func (s *Server) routed(e entry) error {
	l, err := s.host.Link(e.Binding.Interface)
	if err != nil {
		return nil // intact has said so
	}
	routes, err := s.host.Routes()
	if err != nil {
		return err
	}
	for _, a := range e.Binding.Addresses {
		want := netip.PrefixFrom(a, a.BitLen())
		if !slices.ContainsFunc(routes, func(r kernel.Route) bool { return r.Prefix == want && r.Uses(l.Index) }) {
			return fmt.Errorf("host side: no route to %v by interface %s", a, e.Binding.Interface)
		}
	}
	return nil
}

// remembered compares the runtime's prevResult, where it gives one, with the journal.
func (r *request) remembered(e entry) error {
	if r.conf.RawPrevResult == nil {
		return nil
	}
	result, err := r.prevResult()
	if err != nil {
		return err
	}
	for _, ip := range result.IPs {
		if ip.Interface == nil || *ip.Interface >= len(result.Interfaces) || result.Interfaces[*ip.Interface].Name != e.Binding.IfName {
			continue
		}
		a, _ := netip.AddrFromSlice(ip.Address.IP)
		if !slices.Contains(e.Binding.Addresses, a.Unmap()) {
			return fmt.Errorf("prevResult: %v is not an address of this attachment: %v", a.Unmap(), e.Binding.Addresses)
		}
	}
	return nil
}

func (r *request) prevResult() (*types100.Result, error) {
	raw, err := marshal(r.conf.RawPrevResult)
	if err != nil {
		return nil, err
	}
	any, err := create.Create(r.conf.CNIVersion, raw)
	if err != nil {
		return nil, fmt.Errorf("prevResult: %w", err)
	}
	result, err := types100.NewResultFromResult(any)
	if err != nil {
		return nil, fmt.Errorf("prevResult: %w", err)
	}
	return result, nil
}
