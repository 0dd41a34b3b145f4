package agent

import (
	"context"
	"net/netip"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// The collection of addresses that nobody uses: soon after the start, for what a crash left, then seldom.
const (
	firstCollection = 15 * time.Second
	collectionGap   = 60 * time.Second // between the two looks that must agree
	collectionEvery = 15 * time.Minute
)

// collect frees the addresses of this node that belong to nobody, until ctx ends. An address goes only when two looks, a
// minute apart and so longer than any ADD lasts, both find it without binding and without workload.
func (a *Agent) collect(ctx context.Context) {
	wait := firstCollection
	for {
		var suspects map[string]bool
		for range 2 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			suspects = a.collectOnce(ctx, suspects)
			wait = collectionGap
		}
		wait = collectionEvery
	}
}

// collectOnce frees what was already suspect, and returns what is suspect now.
func (a *Agent) collectOnce(ctx context.Context, suspects map[string]bool) map[string]bool {
	if a.core.Ready() != nil {
		return nil // without the store's word nobody can be called gone
	}
	handles := map[string]bool{}
	pods := map[string]bool{}
	for _, b := range a.journal.Load() {
		handles[b.Network+"."+b.ContainerID] = true
		pods[b.Workload.Namespace+"/"+b.Workload.Workload] = true
	}
	now := map[string]bool{}
	found, err := a.ipam.GC(ctx, func(handle string, attrs map[string]string, _ netip.Addr) bool {
		if attrs[model.AttrNode] != a.config.Node || attrs[model.AttrType] != "" || handles[handle] {
			return true // another node's, the node's own (tunnels), or bound
		}
		// Without a binding of ours: a workload that somebody else wired keeps its address while the store has it. One that
		// is bound under another container has been born again, and this is what its former self left.
		ns, pod := attrs[model.AttrNamespace], attrs[model.AttrPod]
		if pod == "" && a.core.claims(handle) || pod != "" && !pods[ns+"/"+pod] && a.core.has(ns, pod) {
			return true
		}
		now[handle] = true
		return !suspects[handle]
	})
	if err != nil {
		a.log.Warn("collect unused addresses", "err", err)
	}
	if len(found.Addresses) > 0 {
		a.log.Info("freed addresses that nobody uses", "addresses", found.Addresses)
	}
	return now
}
