package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/cni"
	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// allocator is ipam as CNI sees it.
type allocator struct {
	node  string
	store store.Store
	ipam  *ipam.Allocator
}

// Assign implements cni.Allocator. A workload that only CNI knows of gets its WorkloadEndpoint in the transaction that
// gives it its addresses.
func (a *allocator) Assign(ctx context.Context, r cni.AddressRequest) ([]netip.Addr, error) {
	req := ipam.Request{
		Handle: r.Handle, Attributes: r.Attributes, Want4: r.Want4, Want6: r.Want6, Pools4: r.Pools4, Pools6: r.Pools6,
		Explicit: r.Explicit, Addresses: r.Addresses,
	}
	if r.Endpoint != nil {
		op, err := a.endpoint(r.Endpoint, nil)
		if err == nil {
			err = a.profiles(ctx, r.Endpoint.Profiles)
		}
		if err != nil {
			return nil, err // before anything is assigned
		}
		if !r.Want4 && !r.Want6 && len(r.Addresses) == 0 { // another IPAM's addresses
			_, err := a.store.Txn(ctx, op)
			return nil, err
		}
		req.Extra = func(addrs []netip.Addr) []store.Op {
			op, err := a.endpoint(r.Endpoint, addrs)
			if err != nil {
				return nil
			}
			return []store.Op{op}
		}
	}
	return a.ipam.Assign(ctx, req)
}

// profiles creates the profiles of a network that are not there: whoever is of the network may reach the workload, and the
// workload everybody (store-layout §1.2).
func (a *allocator) profiles(ctx context.Context, names []string) error {
	for _, name := range names {
		key := model.Key{Kind: model.KindProfile, Name: name}
		if _, err := a.store.Get(ctx, key); !errors.Is(err, store.ErrNotFound) {
			if err != nil {
				return err
			}
			continue
		}
		p := &v3.Profile{}
		p.Name = name
		p.Spec.LabelsToApply = map[string]string{name: ""}
		p.Spec.Ingress = []v3.Rule{{Action: v3.Allow, Source: v3.EntityRule{Selector: "has(" + name + ")"}}}
		p.Spec.Egress = []v3.Rule{{Action: v3.Allow}}
		value, _, err := convert.Prepare(key, p, nil)
		if err != nil {
			return err
		}
		if _, err := a.store.Create(ctx, key, value); err != nil && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	return nil
}

// endpoint is the write of the WorkloadEndpoint of a workload that only CNI knows of, as Calico's plugin would make it
// (store-layout §1.2).
func (a *allocator) endpoint(e *cni.NewEndpoint, addrs []netip.Addr) (store.Op, error) {
	key := model.Key{
		Kind: model.KindWorkloadEndpoint, Namespace: e.Workload.Namespace,
		Name: convert.WorkloadEndpointName(a.node, e.Workload),
	}
	wep := &v3.WorkloadEndpoint{}
	wep.Namespace, wep.Name = key.Namespace, key.Name
	wep.Spec.Orchestrator = e.Workload.Orchestrator
	wep.Spec.Node = a.node
	wep.Spec.ContainerID = e.ContainerID
	wep.Spec.Endpoint = e.Workload.Endpoint
	wep.Spec.Profiles = e.Profiles
	wep.Spec.InterfaceName = e.Interface
	wep.Spec.MAC = e.MAC
	for _, addr := range addrs {
		wep.Spec.IPNetworks = append(wep.Spec.IPNetworks, netip.PrefixFrom(addr, addr.BitLen()).String())
	}
	value, _, err := convert.Prepare(key, wep, nil)
	if err != nil {
		return store.Op{}, err
	}
	return store.Op{Kind: store.OpPut, Key: key, Value: value}, nil
}

// Release implements cni.Allocator.
func (a *allocator) Release(ctx context.Context, handle string, w model.WorkloadID, containerID string) error {
	var also []store.Op
	if w.Orchestrator == "cni" {
		key := model.Key{Kind: model.KindWorkloadEndpoint, Namespace: w.Namespace, Name: convert.WorkloadEndpointName(a.node, w)}
		o, err := a.store.Get(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return fmt.Errorf("release %s: %w", handle, err)
		default:
			if wep, ok := o.Value.(*v3.WorkloadEndpoint); ok && wep.Spec.ContainerID == containerID {
				also = append(also, store.Op{Kind: store.OpDelete, Key: key, Revision: o.Revision})
			}
		}
	}
	return a.ipam.Release(ctx, handle, also...)
}

func ipamInputs(in *intent.IPAM) ipam.Inputs {
	return ipam.Inputs{Pools: in.Pools, Selected: in.Selected, Reservations: in.Reservations, Config: in.Config}
}
