package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// counted is a store that counts transactions.
type counted struct {
	store.Store
	txns atomic.Int64
}

func (c *counted) Txn(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	c.txns.Add(1)
	return c.Store.Txn(ctx, ops...)
}

func inputs(bits int) ipam.Inputs {
	return ipam.Inputs{
		Pools:    []*model.IPPool{{Name: "pods", CIDR: netip.MustParsePrefix("10.64.0.0/12"), BlockSize: bits, Workload: true, Tunnel: true}},
		Selected: []string{"pods"}, Config: model.IPAMConfig{AutoAllocateBlocks: true, MaxBlocksPerHost: 1000},
	}
}

// ipamRows assign addresses on one host, with etcd on tmpfs and with disk sync.
func ipamRows(ctx context.Context, b *bench) (rows []row, err error) {
	for _, fsync := range []bool{false, true} {
		got, err := b.ipam(ctx, fsync)
		rows = append(rows, got...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func (b *bench) ipam(ctx context.Context, fsync bool) (rows []row, err error) {
	dir := filepath.Join(b.dir, "ipam")
	if fsync {
		dir = filepath.Join(b.disk, "ipam")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	server, s, err := startStore(b.program, dir, fsync)
	if err != nil {
		return nil, err
	}
	defer server.kill()
	defer func() { err = errors.Join(err, s.Close()) }()
	c := &counted{Store: s}

	for _, claims := range []bool{false, true} {
		for _, parallel := range []int{1, 8} {
			count := b.samples(2000 * min(parallel, 2))
			if fsync {
				count /= 8
			}
			r, err := rate(ctx, c, count, parallel, claims)
			if err != nil {
				return rows, err
			}
			if fsync {
				r.what, r.aim, r.must, r.met = r.what+", disk sync", "-", "-", shown
			}
			rows = append(rows, r)
		}
	}
	if fsync {
		return rows, nil
	}
	// 64 at once into a block that is the host's already.
	var txns []float64
	for i := range 9 {
		a := ipam.New(c, fmt.Sprintf("burst-%d", i), ipam.Options{Handles: true})
		a.SetInputs(inputs(24))
		if _, err := assign(ctx, a, fmt.Sprint("first-of-", i), 1, 1); err != nil {
			return rows, err
		}
		c.txns.Store(0)
		if _, err := assign(ctx, a, fmt.Sprint("burst-", i), 64, 64); err != nil {
			return rows, err
		}
		txns = append(txns, float64(c.txns.Load()))
	}
	return append(rows, row{what: "IPAM, transactions for 64 concurrent ADDs", figure: fmt.Sprintf("median %.0f of %v", median(txns), txns),
		aim: "≤ 2", met: judge(median(txns), 2, 2), note: "into blocks already ours"}), nil
}

// rate assigns addresses of blocks of 64: on one host that claims block after block, or on one host after the other, each
// into the block that it has, as nodes with fewer than 64 pods do.
func rate(ctx context.Context, c *counted, count, parallel int, claims bool) (row, error) {
	var took times
	var cpu, wall time.Duration
	for host, each := 0, count; len(took) < count; host++ {
		name := fmt.Sprintf("host-%d-%v-%d", parallel, claims, host)
		a := ipam.New(c, name, ipam.Options{Handles: true})
		a.SetInputs(inputs(26))
		if _, err := assign(ctx, a, "first-"+name, 1, 1); err != nil { // the connection, the pools, and a block
			return row{}, err
		}
		if !claims {
			each = 63
		}
		used, began := ownCPU(), time.Now()
		t, err := assign(ctx, a, "more-"+name, each, parallel)
		if err != nil {
			return row{}, err
		}
		took, cpu, wall = append(took, t...), cpu+ownCPU()-used, wall+time.Since(began)
	}
	perSecond := float64(len(took)) / wall.Seconds()
	r := row{
		what: "IPAM, one by one", figure: fmt.Sprintf("%.0f per s; %s; CPU %.2f ms", perSecond, took.quantiles(), ms(cpu)/float64(len(took))),
		aim: "≥ 2000 per s", must: "≥ 1000 per s", met: atLeast(perSecond, 2000, 1000),
		note: fmt.Sprintf("%d addresses, 63 for each host, into the block of 64 that it has; handles written", len(took)),
	}
	if parallel > 1 {
		r.what, r.aim, r.must = "IPAM, 8 in parallel", "≥ 5000 per s, p99 ≤ 5 ms", "≥ 2000 per s, p99 ≤ 10 ms"
		r.met = worst(atLeast(perSecond, 5000, 2000), judge(ms(took.at(99)), 5, 10))
	}
	if claims {
		r.what += ", claims included"
		r.note = fmt.Sprintf("%d addresses on one host, which ends with %d blocks of 64; handles written", len(took), len(took)/64+1)
	}
	return r, nil
}

// assign takes addresses, several workers at once, and tells how long each took.
func assign(ctx context.Context, a *ipam.Allocator, prefix string, count, parallel int) (times, error) {
	took := make(times, count)
	errs := make([]error, parallel)
	gate := make(chan struct{})
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range parallel {
		wg.Go(func() {
			<-gate
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				began := time.Now()
				_, err := a.Assign(ctx, ipam.Request{Handle: fmt.Sprintf("k8s-pod-network.%s-%d", prefix, i), Want4: true,
					Attributes: map[string]string{model.AttrNamespace: "default", model.AttrPod: fmt.Sprint(prefix, i)}})
				if err != nil {
					errs[worker] = err
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	close(gate)
	wg.Wait()
	return took, errors.Join(errs...)
}
