package main

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/intent/localize"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane/nft"
	"github.com/tortie-net/tortie/internal/selector"
	"golang.org/x/sys/unix"
)

// tenant is one of many isolated ones: a namespace, a workload, and a policy that lets the tenant in to itself. The
// workloads of the first ones are on the node.
type tenant struct {
	i     int
	local bool
}

func (t tenant) name() string { return fmt.Sprintf("tenant-%d", t.i) }

func (t tenant) namespace() model.Update {
	return model.Update{Key: model.Key{Kind: model.KindNamespace, Name: t.name()},
		Value: &model.Namespace{Name: t.name(), Labels: map[string]string{"tenant": t.name(), "env": "prod"}}}
}

func (t tenant) id() model.WorkloadID {
	return model.WorkloadID{Orchestrator: "k8s", Namespace: t.name(), Workload: "web-0", Endpoint: "eth0"}
}

func (t tenant) addr() netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(t.i >> 16), byte(t.i >> 8), byte(t.i)})
}

func (t tenant) pod(version string) model.Update {
	node := nodeName
	if !t.local {
		node = fmt.Sprintf("remote-%d", t.i/100)
	}
	return model.Update{Key: model.Key{Kind: model.KindPod, Namespace: t.name(), Name: "web-0"}, Value: &model.WorkloadEndpoint{
		ID: t.id(), UID: uidOf(2, t.i), Node: node, Addresses: []netip.Addr{t.addr()},
		Labels: map[string]string{"app": "web", "version": version, model.LabelNamespace: t.name(),
			model.LabelOrchestrator: "k8s", model.LabelServiceAccount: "default"},
		Profiles: []string{"kns." + t.name(), "ksa." + t.name() + ".default"},
	}}
}

func (t tenant) policy(name string, port uint16) model.Update {
	key := model.Key{Kind: model.KindNetworkPolicy, Namespace: t.name(), Name: name}
	own := selector.Equals(model.LabelNamespace, t.name())
	return model.Update{Key: key, Value: &model.Policy{
		Key: key, UID: uidOf(5, t.i) + name, Tier: model.TierDefault, Order: 1000,
		Subject:        selector.And(own, selector.Equals(model.LabelOrchestrator, "k8s")),
		AppliesIngress: true,
		Ingress: []model.Rule{{Action: model.Allow, Protocol: model.ProtoTCP,
			Src: model.Entity{Selector: own}, Dst: model.Entity{Ports: []model.Port{{Min: port, Max: port}}}}},
	}}
}

// calcRows load isolated tenants into the pure engine.
func calcRows(_ context.Context, b *bench) ([]row, error) {
	count := 100_000
	if b.short {
		count = 20_000
	}
	base := heap()
	updates := make([]model.Update, 0, 3*count)
	for i := range count {
		t := tenant{i, i < 100}
		updates = append(updates, t.namespace(), t.pod("v1"), t.policy("own", 80))
	}
	runtime.GC()
	cpu, began := ownCPU(), time.Now()
	c := calc.New(calc.Span{Node: nodeName})
	c.Apply(updates...)
	changes := len(c.Flush())
	wall := time.Since(began)
	cpu = ownCPU() - cpu
	clear(updates)
	size := float64(heap()-base) / 1e6
	runtime.KeepAlive(c)
	c = nil
	debug.FreeOSMemory()
	r := row{
		what: fmt.Sprintf("calc alone, %d isolated tenants, 100 local", count), figure: fmt.Sprintf("CPU %.2f s, heap %.0f MB", cpu.Seconds(), size),
		aim: "≤ 2 s CPU, ≤ 100 MB", must: "≤ 4 s, ≤ 160 MB", met: shown,
		note: fmt.Sprintf("with GC; heap with what it keeps of its input; %.2f s wall, %d changes", wall.Seconds(), changes),
	}
	if !b.short {
		r.met = worst(judge(cpu.Seconds(), 2, 4), judge(size, 100, 160))
	}
	return []row{r}, nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

func ownCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// engine is calc, localize and the nftables plane in a namespace of its own, joined as the agent joins them.
type engine struct {
	ns    *kernel.Namespace
	calc  *calc.Calc
	local *localize.Localizer
	plane *nft.Plane
}

func newEngine() (*engine, error) {
	ns, err := kernel.NewNamespace()
	if err != nil {
		return nil, err
	}
	p, err := nft.New(ns.FD())
	if err != nil {
		_ = ns.Close()
		return nil, err
	}
	return &engine{ns, calc.New(calc.Span{Node: nodeName}), localize.New(nodeName), p}, nil
}

func (e *engine) close() {
	_ = e.plane.Close()
	_ = e.ns.Close()
}

// cost is what one change took: objects that calc visited, messages and bytes to the kernel.
type cost struct{ visited, messages, bytes uint64 }

func (c cost) String() string { return fmt.Sprintf("%d/%d/%d", c.visited, c.messages, c.bytes) }

func (e *engine) apply(ctx context.Context, updates ...model.Update) (cost, error) {
	visited, before := e.calc.Visited(), e.plane.Status()
	e.calc.Apply(updates...)
	e.local.Apply(e.calc.Flush()...)
	err := e.plane.Apply(ctx, e.local.Flush(), true)
	after := e.plane.Status()
	return cost{e.calc.Visited() - visited, after.Writes - before.Writes, after.Bytes - before.Bytes}, err
}

// flatRows count what single changes cost at 10, 1,000 and 10,000 policies, all of which the node enforces.
func flatRows(ctx context.Context, b *bench) ([]row, error) {
	counts := []int{10, 1000, 10000}
	if b.short {
		counts = []int{10, 100, 1000}
	}
	names := []string{"remote pod joins", "local pod's labels", "policy added", "policy changed"}
	costs := map[string][]cost{}
	for _, count := range counts {
		if err := flat(ctx, count, func(name string, c cost) { costs[name] = append(costs[name], c) }); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, name := range names {
		r := row{what: "one change: " + name, aim: "equal within 10 %", met: met,
			note: fmt.Sprintf("calc's visits/netlink messages/bytes at %v policies, all on the node's 10 pods", counts)}
		for i, c := range costs[name] {
			if i > 0 {
				r.figure += ", "
			}
			r.figure += c.String()
			first := costs[name][0]
			for _, pair := range [][2]uint64{{c.visited, first.visited}, {c.messages, first.messages}, {c.bytes, first.bytes}} {
				r.met = worst(r.met, judge(float64(pair[0]), 1.1*float64(pair[1]), 1.1*float64(pair[1])))
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func flat(ctx context.Context, count int, note func(string, cost)) error {
	e, err := newEngine()
	if err != nil {
		return err
	}
	defer e.close()
	const pods = 10
	var updates []model.Update
	for i := range count {
		t := tenant{i, i < pods}
		updates = append(updates, t.namespace(), t.pod("v1"), t.policy("own", 80))
	}
	for i := range pods {
		e.local.Bind(localize.Binding{Workload: tenant{i, true}.id(), ContainerID: fmt.Sprint(i), Interface: fmt.Sprintf("cali%d", i),
			Addresses: []netip.Addr{tenant{i, true}.addr()}})
	}
	if _, err := e.apply(ctx, updates...); err != nil {
		return err
	}
	first := tenant{0, true}
	joiner := tenant{count + 77777, false}
	pod := joiner.pod("v1")
	w := pod.Value.(*model.WorkloadEndpoint)
	w.Labels[model.LabelNamespace], w.ID.Namespace = first.name(), first.name()
	pod.Key.Namespace, pod.Key.Name = first.name(), "joins"
	w.ID.Workload = "joins"
	for _, change := range []struct {
		name   string
		update model.Update
	}{
		{"remote pod joins", pod},
		{"local pod's labels", first.pod("v2")},
		{"policy added", first.policy("added", 443)},
		{"policy changed", first.policy("own", 81)},
	} {
		c, err := e.apply(ctx, change.update)
		if err != nil {
			return err
		}
		note(change.name, c)
	}
	return nil
}
