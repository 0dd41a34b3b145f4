package main

import (
	"context"
	"fmt"
	"time"
)

// startRows start the agent of the large node: on an empty kernel, and on one that is as it should be.
func startRows(ctx context.Context, b *bench) (rows []row, err error) {
	size := b.largest()
	n, err := b.largeNode(ctx, size)
	if err != nil {
		return nil, err
	}
	aims := size.remote >= 50000 && size.policies >= 5000
	for _, empty := range []bool{true, false} {
		var took, cpu, rss, peak []float64
		var writes uint64
		for range 3 {
			n.agent.kill()
			if empty {
				if err := n.emptyKernel(); err != nil {
					return rows, err
				}
			}
			began := time.Now()
			if err := n.spawnAgent(); err != nil {
				return rows, err
			}
			name := "start"
			if !empty {
				name = "restart"
			}
			if err := n.profiled(name, 5, func() error { return n.awaitReady(ctx, time.Minute) }); err != nil {
				return rows, err
			}
			took, cpu = append(took, time.Since(began).Seconds()), append(cpu, cpuOf(n.agent.pid()).Seconds())
			if err := rest(ctx, 2*time.Second); err != nil {
				return rows, err
			}
			s, err := n.status(ctx)
			if err != nil {
				return rows, err
			}
			writes = 0
			for _, p := range s.Planes {
				writes += p.Writes
			}
			rss, peak = append(rss, memoryOf(n.agent.pid(), "VmRSS")), append(peak, memoryOf(n.agent.pid(), "VmHWM"))
		}
		r := row{
			what:   "start → ready, kernel empty",
			figure: fmt.Sprintf("%.2f s, CPU %.2f s, RSS %.0f MB, peak %.0f MB", median(took), median(cpu), median(rss), median(peak)),
			aim:    "≤ 2 s, ≤ 110 MB", must: "≤ 3.5 s, CPU ≤ 4.5 s, ≤ 110 MB", met: shown,
			note: size.String() + "; median of 3; RSS 2 s after",
		}
		if !empty {
			r.what, r.aim, r.must, r.met = "start → ready, kernel as it was left", "0 writes", "", judge(float64(writes), 0, 0)
			r.figure += fmt.Sprintf(", %d kernel writes", writes)
		} else if aims {
			r.met = worst(judge(median(took), 2, 3.5), judge(median(cpu), 4.5, 4.5), judge(median(rss), 110, 110))
		}
		rows = append(rows, r)
	}
	return rows, nil
}
