package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/plane/nft"
)

// verifyRows compare 200,000 members of sets with the kernel's, one by one.
func verifyRows(ctx context.Context, b *bench) (rows []row, err error) {
	members := 200_000
	for _, sets := range []int{20, 2000} {
		took, cpu, err := verify(ctx, members, sets, 5)
		if err != nil {
			return rows, err
		}
		rows = append(rows, row{
			what: fmt.Sprintf("full verification, %d members in %d sets", members, sets), figure: fmt.Sprintf("%.2f s (best %.2f), CPU %.2f s", took.at(50).Seconds(), took.at(0).Seconds(), cpu.Seconds()),
			aim: "≤ 0.6 s", must: "≤ 1.1 s", met: judge(took.at(50).Seconds(), 0.6, 1.1), note: "the plane's Sync and Apply, nothing to repair; median of 5",
		})
	}
	return rows, nil
}

func verify(ctx context.Context, members, sets, count int) (took times, cpu time.Duration, err error) {
	ns, err := kernel.NewNamespace()
	if err != nil {
		return nil, 0, err
	}
	defer ns.Close()
	p, err := nft.New(ns.FD())
	if err != nil {
		return nil, 0, err
	}
	defer p.Close()
	host := &intent.Host{}
	changes := []intent.KernelChange{{Ref: host.Ref(), Object: host}}
	for i := range sets {
		s := &intent.Set{ID: intent.SetID(fmt.Sprint("set-", i)), Type: intent.SetAddrs}
		for j := i * members / sets; j < (i+1)*members/sets; j++ {
			addr := netip.AddrFrom4([4]byte{10, byte(j >> 16), byte(j >> 8), byte(j)})
			s.Members = append(s.Members, intent.Member{Prefix: netip.PrefixFrom(addr, 32)})
		}
		changes = append(changes, intent.KernelChange{Ref: s.Ref(), Object: s})
	}
	if err := p.Apply(ctx, changes, true); err != nil {
		return nil, 0, err
	}
	changes = nil
	before := p.Status().Writes
	used := ownCPU()
	for range count {
		began := time.Now()
		if err := p.Sync(ctx); err != nil {
			return nil, 0, err
		}
		if err := p.Apply(ctx, nil, true); err != nil {
			return nil, 0, err
		}
		took = append(took, time.Since(began))
	}
	cpu = (ownCPU() - used) / time.Duration(count)
	if s := p.Status(); s.Writes != before || s.Pending != 0 {
		return nil, 0, fmt.Errorf("verification wrote %d messages, %d pending: nothing was wrong", s.Writes-before, s.Pending)
	}
	return took, cpu, nil
}
