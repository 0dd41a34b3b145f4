package cni

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// ipamAdd is ADD of the plain IPAM plugin: addresses for an interface that another CNI plugin makes. No workload is
// waited for and none is bound: annotations do not count, only the configuration and CNI_ARGS.
func (r *request) ipamAdd(ctx context.Context) (json.RawMessage, error) {
	s := r.server
	limit := addTimeout - undoTime(addTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	e := r.entry()
	e.State, e.Handle = stateIPAM, r.handle()
	unlock, err := s.locks.lock(ctx, e.Binding.Interface)
	if err != nil {
		return nil, tryAgain("IPAM ADD", err)
	}
	defer unlock()
	if old, ok := s.o.Journal.get(e.attachment()); ok {
		if old.State != stateIPAM {
			return nil, badConf("container %s has interface %s of network %q already", r.raw.ContainerID, r.raw.IfName, old.Binding.Network)
		}
		if len(old.Result) > 0 {
			return convertResult(old.Result, r.conf.CNIVersion)
		}
	}
	from, err := r.addressing(nil)
	if err != nil {
		return nil, err
	}
	if _, err := s.o.Journal.unqueue(s.o.Journal.spoolPath(r.raw)); err != nil {
		return nil, types.NewError(types.ErrIOFailure, err.Error(), "")
	}
	if err := s.o.Journal.put(&e); err != nil {
		return nil, types.NewError(types.ErrIOFailure, err.Error(), "")
	}
	if e.Binding.Addresses, err = r.assign(ctx, from); err == nil {
		if e.Result, err = ipamResult(e.Binding.Addresses); err == nil {
			err = s.o.Journal.put(&e)
		}
	}
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if failed := s.release(undo, e, r.raw); failed != nil {
			err = fmt.Errorf("%w; undoing it: %w", err, failed)
		}
		return nil, tryAgain("IPAM ADD", withCause(ctx, err))
	}
	return convertResult(e.Result, r.conf.CNIVersion)
}

func ipamResult(addrs []netip.Addr) (json.RawMessage, error) {
	out := types100.Result{CNIVersion: resultVersion}
	for _, a := range addrs {
		out.IPs = append(out.IPs, &types100.IPConfig{Address: ipNet(netip.PrefixFrom(a, a.BitLen()))})
	}
	return marshal(&out)
}

// ipamDel is DEL of the plain IPAM plugin.
func (r *request) ipamDel(ctx context.Context) error {
	e := r.entry()
	e.State, e.Handle = stateIPAM, r.handle()
	unlock, err := r.server.locks.lock(ctx, e.Binding.Interface)
	if err != nil {
		return tryAgain("IPAM DEL", err)
	}
	defer unlock()
	if known, ok := r.server.o.Journal.get(e.attachment()); ok && known.State != stateIPAM {
		return nil // addresses of a workload that is Tortie's whole: its own DEL releases them
	}
	return r.server.release(ctx, e, r.raw)
}

// release gives the addresses of an attachment back, now or later.
func (s *Server) release(ctx context.Context, e entry, raw SocketRequest) error {
	b := e.Binding
	s.crash("ipam.release")
	if err := s.o.Allocator.Release(ctx, e.Handle, b.Workload, b.ContainerID); err != nil {
		raw.Command, raw.ContainerID, raw.IfName, raw.Version = ipamPrefix+"DEL", b.ContainerID, b.IfName, ProtocolVersion
		raw.Args = argsOf(e)
		if failed := s.o.Journal.queue(raw); failed != nil {
			return types.NewError(types.ErrIOFailure, failed.Error(), err.Error())
		}
		s.o.Log.Warn("IPAM DEL is finished later", "container", b.ContainerID, "error", err)
	}
	return s.o.Journal.drop(e.attachment())
}

// ipamCheck is CHECK of the plain IPAM plugin.
func (r *request) ipamCheck() error {
	e, ok := r.server.o.Journal.get(r.attachment())
	if !ok || len(e.Binding.Addresses) == 0 {
		return types.NewError(types.ErrUnknownContainer, fmt.Sprintf("container %s has no addresses on this node", r.raw.ContainerID), "")
	}
	return nil
}
