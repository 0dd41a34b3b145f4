package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// problem is an object that cannot be used as it stands.
type problem struct {
	Object string `json:"object"`
	Reason string `json:"reason"`
}

// snapshot is everything that the engine needs, at one moment.
type snapshot struct {
	revision store.Revision // 0: from manifests
	updates  []model.Update
	objects  int
	problems []problem
	places   map[model.Key]string // "file:line" of what came from manifests
	assumed  map[model.Key]bool   // workloads whose node or addresses are assumed
}

// engineKinds is every kind that a snapshot of a store holds.
func engineKinds() []model.Kind {
	var kinds []model.Kind
	for _, info := range convert.Kinds() {
		if info.Stored {
			kinds = append(kinds, info.Kind)
		}
	}
	return append(kinds, model.KindBlock, model.KindAffinity, model.KindIPAMConfig)
}

// takeSnapshot reads a store at one revision. What cannot be read or used stands as the agents see it: closed.
func takeSnapshot(ctx context.Context, s store.Store) (*snapshot, error) {
	objects, revision, err := s.List(ctx, store.Query{Kinds: engineKinds()})
	if err != nil {
		return nil, err
	}
	n := &snapshot{revision: revision}
	for _, o := range objects {
		var value any
		if o.Problem != nil {
			value, _ = convert.Unreadable(o.Key, o.Problem) // whose error is the problem again
			err = o.Problem
		} else {
			value, err = convert.Model(o.Key, o.Value)
		}
		n.add(o.Key, value, err)
	}
	return n, nil
}

func (n *snapshot) add(key model.Key, value any, err error) {
	n.objects++
	if err != nil {
		reason := err.Error()
		var invalid *convert.InvalidError
		if errors.As(err, &invalid) {
			reason = invalid.Reason()
		}
		n.problems = append(n.problems, problem{key.String(), reason})
	}
	if value != nil {
		n.updates = append(n.updates, model.Update{Key: key, Value: value})
	}
}

// fromManifests makes a snapshot of files alone, with the objects that every store holds. Pods that no scheduler has
// seen get a node and addresses of the ranges for documentation (RFC 5737, RFC 3849), so that flows can be judged before
// anything runs.
func fromManifests(manifests []convert.Manifest) (*snapshot, error) {
	n := &snapshot{places: map[model.Key]string{}, assumed: map[model.Key]bool{}}
	seen := map[model.Key]bool{}
	for _, m := range manifests {
		if seen[m.Key] {
			return nil, at(m, fmt.Errorf("%s: is there twice, first at %s", subject(m.Key), n.places[m.Key]))
		}
		seen[m.Key] = true
		n.places[m.Key] = fmt.Sprintf("%s:%d", m.Source, m.Line)
		value := m.Value
		if pod, ok := value.(*corev1.Pod); ok {
			value = n.schedule(m.Key, pod)
		}
		prepared, _, err := convert.Prepare(m.Key, value, nil)
		if err == nil {
			value = prepared
		}
		modelled, merr := convert.Model(m.Key, value)
		if err == nil {
			err = merr
		}
		n.add(m.Key, modelled, err)
	}
	initial, err := convert.Bootstrap()
	if err != nil {
		return nil, err
	}
	for _, o := range initial {
		if !seen[o.Key] {
			value, err := convert.Model(o.Key, o.Value)
			n.add(o.Key, value, err)
		}
	}
	return n, nil
}

// unscheduled is the node of pods that have none.
const unscheduled = "(unscheduled)"

// schedule gives a pod what is missing for it to be an endpoint.
func (n *snapshot) schedule(key model.Key, pod *corev1.Pod) *corev1.Pod {
	if pod.Spec.HostNetwork {
		return pod
	}
	pod = pod.DeepCopy()
	if pod.Spec.NodeName == "" {
		pod.Spec.NodeName = unscheduled
		n.assumed[key] = true
	}
	w, err := convert.Model(key, pod)
	endpoint, ok := w.(*model.WorkloadEndpoint)
	if err != nil || !ok || len(endpoint.Addresses) > 0 || !endpoint.AddressesFromIPAM {
		return pod
	}
	n.assumed[key] = true
	v4 := netip.AddrFrom4([4]byte{192, 0, 2, byte(len(n.assumed))})
	v6 := netip.MustParsePrefix("2001:db8::/64").Addr().As16()
	v6[14], v6[15] = byte(len(n.assumed)>>8), byte(len(n.assumed))
	if len(n.assumed) > 254 { // the range is used up: the next one for documentation
		v4 = netip.AddrFrom4([4]byte{198, 51, 100, byte(len(n.assumed))})
	}
	pod.Status.PodIPs = []corev1.PodIP{{IP: v4.String()}, {IP: netip.AddrFrom16(v6).String()}}
	return pod
}

// values is the snapshot's values of one type, with their keys.
func values[T any](n *snapshot) []keyed[T] {
	var out []keyed[T]
	for _, u := range n.updates {
		if v, ok := u.Value.(*T); ok {
			out = append(out, keyed[T]{u.Key, v})
		}
	}
	slices.SortFunc(out, func(a, b keyed[T]) int { return a.key.Compare(b.key) })
	return out
}

type keyed[T any] struct {
	key   model.Key
	value *T
}

// allocation is an address that IPAM holds for a workload.
type allocation struct {
	addr netip.Addr
	uid  string // of the pod, where the allocation has one
}

// allocated is the addresses that blocks hold for workloads, by namespace, name and node.
func (n *snapshot) allocated() map[[3]string][]allocation {
	out := map[[3]string][]allocation{}
	for _, b := range values[model.Block](n) {
		for ordinal, i := range b.value.Allocations {
			if i < 0 || i >= len(b.value.Attributes) {
				continue
			}
			at := b.value.Attributes[i].Attributes
			if !b.value.Attributes[i].ReleasedAt.IsZero() || at[model.AttrPod] == "" {
				continue
			}
			key := [3]string{at[model.AttrNamespace], at[model.AttrPod], at[model.AttrNode]}
			out[key] = append(out[key], allocation{b.value.Addr(ordinal), at[model.AttrUID]})
		}
	}
	return out
}

// addresses is those of every workload: the ones that it states, else those that IPAM holds for it (R145).
func (n *snapshot) addresses() map[model.Key][]netip.Addr {
	allocated := n.allocated()
	out := map[model.Key][]netip.Addr{}
	for _, w := range values[model.WorkloadEndpoint](n) {
		out[w.key] = w.value.Addresses
		if len(w.value.Addresses) > 0 || !w.value.AddressesFromIPAM {
			continue
		}
		for _, a := range allocated[[3]string{w.value.ID.Namespace, w.value.ID.Workload, w.value.Node}] {
			if a.uid == "" || a.uid == w.value.UID {
				out[w.key] = append(out[w.key], a.addr)
			}
		}
	}
	return out
}
