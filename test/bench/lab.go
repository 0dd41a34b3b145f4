package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tortie-net/tortie/internal/lab"
	"github.com/tortie-net/tortie/internal/lab/traffic"
)

// labFile is three nodes with routes by BGP, and a policy.
const labFile = `
name: bench-%d
subnets: [{name: lan, cidr: 172.30.9.0/24, cidr6: "fd00:30:9::/64"}]
nodes: [{name: n1}, {name: n2}, {name: n3}]
objects:
  - |
    apiVersion: projectcalico.org/v3
    kind: IPPool
    metadata: {name: pods4}
    spec: {cidr: 10.98.0.0/16, ipipMode: Never, vxlanMode: Never}
    ---
    apiVersion: projectcalico.org/v3
    kind: IPPool
    metadata: {name: pods6}
    spec: {cidr: "fd00:10:98::/48", ipipMode: Never, vxlanMode: Never}
    ---
    apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: only-friends, namespace: default}
    spec:
      selector: role == 'server'
      types: [Ingress]
      ingress: [{action: Allow, source: {selector: role == 'friend'}}]
    ---
    apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: no-answers, namespace: default}
    spec: {selector: role == 'friend', types: [Ingress]}
workloads:
  - {name: friend, node: n1, labels: {role: friend}}
  - {name: stranger, node: n2, labels: {role: stranger}}
  - {name: server, node: n3, labels: {role: server}}
`

// labRows build a lab from nothing to the first packet across nodes, then kill and restart each agent under traffic.
func labRows(ctx context.Context, b *bench) (rows []row, err error) {
	f, err := lab.ParseFile(fmt.Appendf(nil, labFile, os.Getpid()), "bench", ".")
	if err != nil {
		return nil, err
	}
	var progress bytes.Buffer
	l, err := lab.NewWith(b.program, f, io.Writer(&progress))
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := l.Up(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	up := time.Since(began)
	if err := repeatUntil(ctx, 30*time.Second, func() error { return l.Probe(ctx, "friend", "server", 4) }); err != nil {
		return nil, fmt.Errorf("first packet: %w", err)
	}
	first := time.Since(began)
	rows = append(rows, row{what: "lab of 3 nodes, nothing → first packet across nodes", figure: fmt.Sprintf("%.1f s (%.1f s until attached)", first.Seconds(), up.Seconds()),
		aim: "< 5 s", met: judge(first.Seconds(), 5, 5), note: "IPv4 and IPv6, 3 workloads, BGP mesh; one sample"})
	if _, err := l.AwaitBGP(ctx, 30*time.Second); err != nil {
		return rows, err
	}
	restarted, err := restart(ctx, l)
	if err != nil {
		return rows, err
	}
	return append(rows, restarted), nil
}

// restart kills the agents of both ends under standard traffic and starts them again.
func restart(ctx context.Context, l *lab.Lab) (row, error) {
	if err := repeatUntil(ctx, 10*time.Second, func() error {
		for _, family := range []int{4, 6} {
			if err := l.Probe(ctx, "friend", "server", family); err != nil {
				return err
			}
			if l.Probe(ctx, "stranger", "server", family) == nil {
				return errors.New("the policy is not in force")
			}
		}
		return nil
	}); err != nil {
		return row{}, err
	}
	var pairs []traffic.Pair
	for _, family := range []int{4, 6} {
		ends := map[string]traffic.Workload{}
		for _, name := range []string{"friend", "stranger", "server"} {
			end, err := l.End(name, family)
			if err != nil {
				return row{}, err
			}
			ends[name] = end
		}
		if family == 4 {
			pairs = append(pairs, traffic.Pair{A: ends["friend"], B: ends["server"], DenyBA: true})
		}
		pairs = append(pairs, traffic.Pair{A: ends["stranger"], B: ends["server"], DenyAB: true})
	}
	run, err := traffic.Start(ctx, time.Minute, pairs...)
	if err != nil {
		return row{}, err
	}
	var writes uint64
	var took []float64
	for _, name := range []string{"n1", "n3"} {
		if err = errors.Join(rest(ctx, time.Second), l.KillAgent(name), rest(ctx, 500*time.Millisecond)); err != nil {
			break
		}
		began := time.Now()
		if err = l.StartAgent(name); err != nil {
			break
		}
		if err = repeatUntil(ctx, 20*time.Second, func() error { return l.Ready(ctx, name) }); err != nil {
			break
		}
		took = append(took, time.Since(began).Seconds())
		if _, err = l.AwaitBGP(ctx, 30*time.Second); err != nil {
			break
		}
		if err = rest(ctx, 2*time.Second); err != nil {
			break
		}
		s, failed := l.Status(ctx, name)
		if err = failed; err != nil {
			break
		}
		for _, p := range s.Planes {
			writes += p.Writes
		}
	}
	report, stopped := run.Stop()
	if err = errors.Join(err, stopped); err != nil {
		return row{}, err
	}
	lost := report.Lost + report.Failed + report.Broken
	return row{what: "restart with unchanged objects", figure: fmt.Sprintf("%d kernel writes, %d lost, %d leaked", writes, lost, report.Leaked),
		aim: "0, 0, 0", met: judge(float64(writes+lost+report.Leaked), 0, 0),
		note: fmt.Sprintf("2 agents killed with -9 under standard traffic: %.0f s, %d packets, %d connects; ready again after %.1f and %.1f s",
			report.Seconds, report.Packets, report.Connects, took[0], took[1])}, nil
}

func repeatUntil(ctx context.Context, limit time.Duration, ok func() error) error {
	for end := time.Now().Add(limit); ; {
		err := ok()
		if err == nil || time.Now().After(end) {
			return err
		}
		if e := rest(ctx, 10*time.Millisecond); e != nil {
			return e
		}
	}
}
