package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// cniRows run the real plugin: ADD and DEL whole, from exec to exit, with the store on tmpfs and with disk sync.
func cniRows(ctx context.Context, b *bench) (rows []row, err error) {
	n, err := b.smallNode(ctx)
	if err != nil {
		return nil, err
	}
	if rows, err = n.cniRows(ctx, b.samples(200), ""); err != nil {
		return rows, err
	}
	synced, err := b.newNode(ctx, filepath.Join(b.disk, "cni"), true)
	if err != nil {
		return rows, err
	}
	more, err := synced.cniRows(ctx, b.samples(100), ", disk sync")
	if e := synced.close(); err == nil {
		err = e
	}
	return append(rows, more...), err
}

func (n *node) cniRows(ctx context.Context, count int, suffix string) (rows []row, err error) {
	var pods []*pod
	for i := range count + 1 {
		p, err := n.preparePod(ctx, fmt.Sprintf("born-%d", i), i)
		if err != nil {
			return nil, err
		}
		pods = append(pods, p)
	}
	if err := rest(ctx, 300*time.Millisecond); err != nil { // the pods reach the agent, as they would long before ADD
		return nil, err
	}
	for _, command := range []string{"ADD", "DEL"} {
		var took times
		var plugin, agent, server time.Duration
		each := func(i int, p *pod) error {
			before, store := cpuOf(n.agent.pid()), cpuOf(n.server.pid())
			began := time.Now()
			_, cpu, err := n.cni(ctx, command, p)
			if err != nil {
				return err
			}
			if i == 0 {
				return nil // the first claims the block and warms caches up
			}
			took = append(took, time.Since(began))
			plugin += cpu
			agent += cpuOf(n.agent.pid()) - before
			server += cpuOf(n.server.pid()) - store
			return nil
		}
		if err := n.profiled("cni "+command+suffix, 2, func() error {
			for i, p := range pods {
				if err := each(i, p); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return rows, err
		}
		per := func(d time.Duration) float64 { return ms(d) / float64(len(took)) }
		r := row{
			what:   "CNI " + command + ", whole" + suffix,
			figure: fmt.Sprintf("p50 %.1f, p99 %.1f ms; CPU %.1f ms", ms(took.at(50)), ms(took.at(99)), per(plugin+agent)),
			aim:    "p50 ≤ 6, p99 ≤ 30 ms", must: "p50 ≤ 10, p99 ≤ 30 ms; ≤ 11.5 ms CPU", met: shown,
			note: fmt.Sprintf("%d one by one, exec to exit, IPv4; CPU: plugin %.1f + agent %.1f, etcd %.1f beside it", len(took), per(plugin), per(agent), per(server)),
		}
		if command == "ADD" && suffix == "" {
			r.met = worst(judge(ms(took.at(50)), 6, 10), judge(ms(took.at(99)), 30, 30), judge(per(plugin+agent), 11.5, 11.5))
		} else {
			r.aim, r.must = "-", "-"
		}
		rows = append(rows, r)
	}
	for _, p := range pods {
		delete(n.pods, p.name)
		_ = p.ns.Close()
	}
	return rows, nil
}
