package test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
	"github.com/tortie-net/tortie/internal/store/etcd/embedded"
)

// addressRace is four nodes that take addresses from one pool and die while they do it.
type addressRace struct {
	t  *testing.T
	in ipam.Inputs
	db []*etcd.Store // one connection for each node

	mu     sync.Mutex
	owner  map[netip.Addr]string // as the workloads know it
	points map[string]int        // crash points, with how often a node died there
}

// Four nodes race for 2,000 addresses of a real etcd in its stored forms, killed at every crash point in turn: no address
// is given twice, and after garbage collection every one can be had.
func TestAddressRaceOnEtcd(t *testing.T) {
	dir := t.TempDir()
	endpoint := "unix://" + filepath.Join(dir, "sock")
	server, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, "data"), Listen: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	pool := &model.IPPool{Name: "a", CIDR: netip.MustParsePrefix("10.1.0.0/21"), BlockSize: 26, Workload: true}
	r := &addressRace{t: t, owner: map[netip.Addr]string{}, points: map[string]int{}, in: ipam.Inputs{
		Pools: []*model.IPPool{pool}, Selected: []string{"a"}, Config: model.IPAMConfig{AutoAllocateBlocks: true},
		Reservations: []netip.Prefix{netip.MustParsePrefix("10.1.7.208/28"), netip.MustParsePrefix("10.1.7.224/27")},
	}}
	const nodes, seed = 4, 20261121
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	for n := range nodes {
		s, err := etcd.Open(etcd.Config{Endpoints: []string{endpoint}}, convert.Codec{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		r.db = append(r.db, s)
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for life := range 40 {
				r.live(n, life, 1+life/2, random)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	used := len(r.owner)
	r.collect()
	for n := range nodes { // what is left belongs to whoever asks
		a := r.allocator(n, nil)
		for i := 0; ; i++ {
			if err := r.take(t.Context(), a, fmt.Sprintf("fill.%d.%d", n, i)); errors.Is(err, ipam.ErrNoAddress) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	kills := 0
	for _, k := range r.points {
		kills += k
	}
	t.Logf("%d lives ended at %d crash points: %v", kills, len(r.points), r.points)
	t.Logf("%d addresses in use then, %d of 2000 given in the end", used, len(r.owner))
	if len(r.owner) != 2000 {
		t.Errorf("%d addresses can be had, want 2000", len(r.owner))
	}
	if len(r.points) < 4 || kills < 100 {
		t.Errorf("%d lives ended at %d crash points: too few to show anything", kills, len(r.points))
	}
	if problems := ipam.Check(r.state()); len(problems) > 0 {
		t.Errorf("%d problems: %v", len(problems), problems[:min(5, len(problems))])
	}
}

func (r *addressRace) allocator(n int, crash func(string)) *ipam.Allocator {
	a := ipam.New(r.db[n], fmt.Sprint("node", n), ipam.Options{Handles: true, Crash: crash, Log: slog.New(slog.DiscardHandler)})
	a.SetInputs(r.in)
	return a
}

// live is one life of a node's process: it ends at its so-manieth crash point, or at one where nobody has died yet. The
// goroutine that is there goes no further, as nothing of a dead process does.
func (r *addressRace) live(n, life, left int, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	dead := false
	a := r.allocator(n, func(point string) {
		r.mu.Lock()
		left--
		die := dead || left <= 0 || r.points[point] == 0
		if die && !dead {
			dead = true
			r.points[point]++
		}
		r.mu.Unlock()
		if die {
			cancel()
			runtime.Goexit()
		}
	})
	var wg sync.WaitGroup
	for w := range 4 {
		releases := random.IntN(3)
		wg.Go(func() {
			var mine []string
			for i := 0; i < 60 && ctx.Err() == nil; i++ {
				handle := fmt.Sprintf("%d.%d.%d.%d", n, life, w, i)
				err := r.take(ctx, a, handle)
				switch {
				case errors.Is(err, ipam.ErrNoAddress) || ctx.Err() != nil:
					return
				case err != nil:
					r.t.Errorf("%s: %v", handle, err)
					return
				}
				if mine = append(mine, handle); releases > 0 && i%3 == releases {
					r.forget(mine[0])
					_ = a.Release(ctx, mine[0])
					mine = mine[1:]
				}
			}
		})
	}
	wg.Wait()
}

// take asks for an address and holds it against what the others have.
func (r *addressRace) take(ctx context.Context, a *ipam.Allocator, handle string) error {
	addrs, err := a.Assign(ctx, ipam.Request{Handle: handle, Want4: true})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, addr := range addrs {
		if other, ok := r.owner[addr]; ok {
			r.t.Errorf("%s is given to %s and %s", addr, other, handle)
		}
		r.owner[addr] = handle
	}
	return nil
}

func (r *addressRace) forget(handle string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for addr, h := range r.owner {
		if h == handle {
			delete(r.owner, addr)
		}
	}
}

// collect frees what the dead left. It dies at each of its own crash points too, until it has nothing left to do.
func (r *addressRace) collect() {
	for points := 1; ; points++ {
		done := make(chan bool, 1)
		go func() {
			finished := false
			defer func() { done <- finished }()
			left := points
			a := r.allocator(0, func(point string) {
				if left--; left <= 0 {
					r.points["collecting, "+point]++
					runtime.Goexit()
				}
			})
			_, err := a.GC(r.t.Context(), func(handle string, _ map[string]string, addr netip.Addr) bool { return r.owner[addr] == handle })
			if err != nil {
				r.t.Error(err)
			}
			finished = true
		}()
		if <-done {
			return
		}
	}
}

func (r *addressRace) state() ipam.State {
	objects, _, err := r.db[0].List(r.t.Context(), store.Query{Kinds: []model.Kind{model.KindBlock, model.KindAffinity, model.KindHandle}})
	if err != nil {
		r.t.Fatal(err)
	}
	s := ipam.State{Pools: r.in.Pools}
	for _, o := range objects {
		switch v := o.Value.(type) {
		case *model.Block:
			s.Blocks = append(s.Blocks, v)
		case *model.Affinity:
			s.Affinities = append(s.Affinities, v)
		case *model.Handle:
			s.Handles = append(s.Handles, v)
		}
	}
	for addr, handle := range r.owner {
		s.Owners = append(s.Owners, ipam.Owner{Address: addr, Name: handle})
	}
	return s
}

// An agent killed with -9 in the middle of 50 parallel ADDs, and started again: what ADD answered for stands, what it did
// not leaves no address, no interface and no endpoint, and nobody has the address of another.
func TestAgentKilledAmongADDs(t *testing.T) {
	l := startLab(t, fmt.Sprintf(cniLab, "midst"))
	n := newNetwork(t, l, "midst-1", "net", "1.0.0", ipv4Only)
	const boxes = 50
	type outcome struct {
		name string
		p    place
		err  error
	}
	results := make(chan outcome, boxes)
	for i := range boxes { // lab namespaces are made one by one
		if _, err := l.MakeNamespace(fmt.Sprint("box", i)); err != nil {
			t.Fatal(err)
		}
	}
	runtimes := make([]*network, boxes)
	for i := range runtimes {
		runtimes[i] = newNetwork(t, l, "midst-1", "net", "1.0.0", ipv4Only)
	}
	for i := range boxes {
		go func() {
			time.Sleep(time.Duration(i) * 5 * time.Millisecond) // so that the kill meets some at every stage
			name := fmt.Sprint("box", i)
			p, err := runtimes[i].tryAdd(name)
			results <- outcome{name, p, err}
		}()
	}
	done := []outcome{<-results, <-results, <-results}
	if err := l.KillAgent("midst-1"); err != nil {
		t.Fatal(err)
	}
	for len(done) < boxes {
		done = append(done, <-results)
	}
	if err := l.StartAgent("midst-1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the agent", func() error { return l.Ready(t.Context(), "midst-1") })

	host, err := l.Namespace("midst-1")
	if err != nil {
		t.Fatal(err)
	}
	had := map[netip.Addr]string{}
	failed := 0
	for _, o := range done {
		if o.err != nil {
			failed++
			continue
		}
		if other, ok := had[o.p.addr[4]]; ok {
			t.Errorf("%s has the address of %s", o.name, other)
		}
		had[o.p.addr[4]] = o.name
		if err := n.cni.CheckNetwork(until(t), n.config, n.runtime(o.name)); err != nil && !strings.Contains(err.Error(), "cached") {
			t.Errorf("CHECK of %s, whose ADD had succeeded: %v", o.name, err)
		}
	}
	t.Logf("%d ADDs had succeeded when the agent was killed, %d failed", len(had), failed)
	if failed == 0 {
		t.Error("no ADD was under way: this showed nothing")
	}
	// What failed may have been done whole, just ahead of the answer. The runtime sends DEL for each; then nothing is left.
	for _, o := range done {
		if o.err != nil {
			n.remove(o.name)
		}
	}
	left := func() error {
		links := strings.Count(inside(t, host, "ip", "-o", "link"), ": cali")
		out, err := l.Output(t.Context(), nil, "get", "workloadendpoints", "-A", "-o", "name")
		endpoints := len(strings.Fields(out))
		blocks, err2 := l.Output(t.Context(), nil, "ipam", "show")
		if links != len(had) || endpoints != len(had) || !strings.Contains(blocks, fmt.Sprintf(" %d (", len(had))) {
			return fmt.Errorf("%d interfaces, %d endpoints, want %d of each, and addresses:\n%s", links, endpoints, len(had), blocks)
		}
		return errors.Join(err, err2)
	}
	eventually(t, 20*time.Second, "nothing left of what failed", left)
	// Those that failed can be had now.
	for _, o := range done {
		if o.err != nil {
			p := n.add(o.name)
			if other, ok := had[p.addr[4]]; ok {
				t.Errorf("%s has the address of %s", o.name, other)
			}
			had[p.addr[4]] = o.name
		}
	}
	if err := left(); err != nil {
		t.Error(err)
	}
}
