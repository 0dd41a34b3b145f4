package planetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Run is the contract.
func Run(t *testing.T, s Subject) {
	t.Run("packets", s.packets)
	t.Run("closing start", s.closingStart)
	t.Run("birth and death", s.births)
	t.Run("not whole removes nothing", s.notWhole)
	t.Run("changes of sets", s.sets)
	t.Run("changes of policies", s.policies)
	t.Run("one transaction", s.atomic)
	t.Run("one transaction, other policies", s.replaced)
	t.Run("restart", s.restart)
	t.Run("damage", s.damage)
	t.Run("counters", s.counters)
	t.Run("marks", s.marks)
}

func (s Subject) open(t testing.TB, w *world) Policer {
	t.Helper()
	p := s.Open(t, w.Router)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// packets runs every case in one namespace: each begins, as after a restart with another intent, with what the one
// before left.
func (s Subject) packets(t *testing.T) {
	w := newWorld(t)
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			p := s.Open(t, w.Router)
			defer func() { _ = p.Close() }()
			apply(t, p, c.objects...)
			w.check(t, c.expect)
		})
	}
}

func (s Subject) closingStart(t *testing.T) {
	w := newWorld(t)
	w.check(t, "tcp a > b:80 = b\ntcp a > host:80 = host") // nothing is there yet
	p := s.open(t, w)
	if err := p.CloseFirst(context.Background(), []string{"cali"}); err != nil {
		t.Fatal(err)
	}
	w.check(t, "tcp a > b:80 = drop\ntcp a > host:80 = drop\ntcp a > out:80 = drop\ntcp out > a:80 = drop\ntcp out > host:80 = host")
	apply(t, p, host(), open(), endpoint(1), endpoint(2))
	w.check(t, "tcp a > b:80 = b\ntcp a > host:80 = host")
	// An agent that starts beside a table that works leaves it as it is.
	again := s.open(t, w)
	if err := again.CloseFirst(context.Background(), []string{"cali"}); err != nil {
		t.Fatal(err)
	}
	if writes := again.Status().Writes; writes != 0 {
		t.Errorf("closing start wrote %d messages over a table that was there", writes)
	}
	w.check(t, "tcp a > b:80 = b")
}

func (s Subject) births(t *testing.T) {
	w := newWorld(t)
	p := s.open(t, w)
	apply(t, p, host(), open(), endpoint(1), addrSet("s"),
		policy("p", "default", []intent.Rule{{Action: allow, Src: intent.Entity{Sets: []intent.SetID{"s"}}}}, nil),
		endpoint(2, tier("default", deny, []string{"p"}, nil)))
	w.check(t, "tcp a > b:80 = drop\ntcp c > b:80 = drop")
	// Born: endpoint and membership in one call.
	born := []intent.Object{endpoint(3), &intent.SetDelta{ID: "s", Add: addrSet("s", 3).Members}}
	apply(t, p, born...)
	w.check(t, "tcp c > b:80 = b\ntcp a > b:80 = drop\ntcp b > c:80 = c")
	// The same interface gets another owner before the old one's end is told.
	heir := endpoint(3, tier("default", deny, []string{"p"}, nil))
	heir.ID = "k8s/n/heir/eth0"
	apply(t, p, heir)
	w.check(t, "tcp a > c:80 = drop\ntcp c > b:80 = b")
	remove(t, p, endpoint(3).Ref())
	w.check(t, "tcp a > c:80 = drop\ntcp c > b:80 = b")
	// Dead.
	if err := p.Apply(context.Background(), append(changes([]intent.Object{&intent.SetDelta{ID: "s", Remove: addrSet("s", 3).Members}}),
		intent.KernelChange{Ref: heir.Ref()}), true); err != nil {
		t.Fatal(err)
	}
	w.check(t, "tcp c > b:80 = drop\ntcp a > c:80 = drop\ntcp c > host:80 = drop")
	remove(t, p, endpoint(1).Ref(), endpoint(2).Ref(), intent.Ref{Kind: intent.KindPolicy, ID: refID("p")}, intent.Ref{Kind: intent.KindSet, ID: "s"})
	if st := p.Status(); st.Pending != 0 {
		t.Errorf("%d objects pending after everything was removed", st.Pending)
	}
}

func (s Subject) notWhole(t *testing.T) {
	w := newWorld(t)
	objects := toB(ingress(intent.Rule{Action: allow, Src: intent.Entity{Sets: []intent.SetID{"s"}}}), addrSet("s", 1))
	p := s.open(t, w)
	apply(t, p, objects...)
	again := s.open(t, w)
	if err := again.Apply(context.Background(), changes([]intent.Object{host(), open(), endpoint(1)}), false); err != nil {
		t.Fatal(err)
	}
	w.check(t, "tcp a > b:80 = b\ntcp c > b:80 = drop")
	if err := again.Apply(context.Background(), nil, true); err != nil {
		t.Fatal(err)
	}
	w.check(t, "tcp a > b:80 = drop\ntcp c > a:80 = drop\ntcp a > out:80 = out")
}

func (s Subject) sets(t *testing.T) {
	w := newWorld(t)
	p := s.open(t, w)
	apply(t, p, toB(ingress(intent.Rule{Action: allow, Src: intent.Entity{Sets: []intent.SetID{"s"}}}), addrSet("s"))...)
	steps := []struct {
		name   string
		change intent.Object
		expect string
	}{
		{"first member", &intent.SetDelta{ID: "s", Add: addrSet("", 1).Members}, "tcp a > b:80 = b\ntcp c > b:80 = drop"},
		{"first prefixes", &intent.SetDelta{ID: "s", Add: addrSet("", "198.51.100.0/24", "198.51.100.0/25", "2001:db8:99::/48", "2001:db8:99::/64").Members}, "tcp a > b:80 = b\ntcp out > b:80 = b"},
		{"wider prefixes", &intent.SetDelta{ID: "s", Add: addrSet("", "198.51.0.0/16", "2001:db8::/32").Members}, "tcp out > b:80 = b"},
		{"without the wider", &intent.SetDelta{ID: "s", Remove: addrSet("", "198.51.0.0/16", "2001:db8::/32").Members}, "tcp out > b:80 = b\ntcp c > b:80 = drop"},
		{"what is not there is removed, what is there added", &intent.SetDelta{ID: "s", Add: addrSet("", 1).Members, Remove: addrSet("", 3, "203.0.113.0/24").Members}, "tcp a > b:80 = b\ntcp c > b:80 = drop"},
		{"last prefixes go", &intent.SetDelta{ID: "s", Remove: addrSet("", "198.51.100.0/24", "198.51.100.0/25", "2001:db8:99::/48", "2001:db8:99::/64").Members}, "tcp out > b:80 = drop\ntcp a > b:80 = b"},
		{"another whole set", addrSet("s", 3, "198.51.100.6/31", "2001:db8:99::6/127"), "tcp a > b:80 = drop\ntcp c > b:80 = b\ntcp out > b:80 = b"},
		{"another shape", portSet("s", tcp, 80, 1), "tcp a > b:80 = drop\ntcp c > b:80 = drop"},
		{"and back", addrSet("s", 1), "tcp a > b:80 = b\ntcp c > b:80 = drop"},
	}
	for _, step := range steps {
		apply(t, p, step.change)
		w.check(t, step.expect)
		if t.Failed() {
			t.Fatalf("after: %s", step.name)
		}
	}
	remove(t, p, intent.Ref{Kind: intent.KindSet, ID: "s"})
	w.check(t, "tcp a > b:80 = drop")
	apply(t, p, addrSet("s", 1))
	w.check(t, "tcp a > b:80 = b")
}

func (s Subject) policies(t *testing.T) {
	w := newWorld(t)
	p := s.open(t, w)
	apply(t, p, toB(ingress(intent.Rule{Action: allow, Protocol: tcp}))...)
	w.check(t, "tcp a > b:80 = b\nudp a > b:80 = drop")
	apply(t, p, policy("p", "default", []intent.Rule{{Action: pass, Protocol: udp}}, nil))
	w.check(t, "tcp a > b:80 = drop\nudp a > b:80 = b")
	staged := policy("p", "default", []intent.Rule{{Action: deny}}, nil)
	staged.Staged = model.StagedSet
	apply(t, p, staged)
	w.check(t, "tcp a > b:80 = b\nudp a > b:80 = b")
	apply(t, p, policy("p", "default", []intent.Rule{{Action: allow, Protocol: tcp}}, nil))
	w.check(t, "tcp a > b:80 = b\nudp a > b:80 = drop")
	remove(t, p, intent.Ref{Kind: intent.KindPolicy, ID: refID("p")}) // while b still names it
	w.check(t, "tcp a > b:80 = drop\nudp a > b:80 = drop")
	apply(t, p, endpoint(2))
	w.check(t, "tcp a > b:80 = b\nudp a > b:80 = b")
	remove(t, p, open().Ref())
	w.check(t, "tcp a > b:80 = drop")
	apply(t, p, open())
	w.check(t, "tcp a > b:80 = b")
	apply(t, p, host(func(h *intent.Host) { h.DenyReject, h.MarkMask = true, 0x00f00000 }))
	w.check(t, "tcp a > b:80 = b")
}

// versions are two policies that both deny one packet, and both allow another, for other reasons.
var versions = [2][]intent.Rule{
	{{Action: deny, Protocol: tcp, Dst: intent.Entity{Ports: ports(22, 22)}}, {Action: allow}},
	{{Action: allow, Protocol: tcp, Dst: intent.Entity{Ports: ports(80, 80)}}, {Action: deny, Protocol: tcp}},
}

// atomic changes a policy back and forth, and what tier it is in.
func (s Subject) atomic(t *testing.T) {
	s.probed(t, func(i int) []intent.KernelChange {
		objects := []intent.Object{policy("p", "default", versions[i%2], nil)}
		if i%3 == 0 { // another group, too
			objects = append(objects, endpoint(2, tier(fmt.Sprintf("tier%d", i%2), deny, []string{"p"}, nil)))
		}
		return changes(objects)
	})
}

// replaced puts another policy in the place of the one that is there, each time with a new name; now and then an endpoint
// joins, so that what is dispatched alike does not come from one place.
func (s Subject) replaced(t *testing.T) {
	s.probed(t, func(i int) []intent.KernelChange {
		name, old := fmt.Sprint("p", i), fmt.Sprint("p", i-1)
		if i == 1 {
			old = "p"
		}
		chosen := tier("default", deny, []string{name}, nil)
		objects := []intent.Object{policy(name, "default", versions[i%2], nil), endpoint(2, chosen), endpoint(3, chosen)}
		list := append(changes(objects), intent.KernelChange{Ref: intent.Ref{Kind: intent.KindPolicy, ID: refID(old)}})
		if i%3 == 0 {
			list = append(list, intent.KernelChange{Ref: endpoint(3).Ref()})
		}
		return list
	})
}

// probed makes changes while one packet every 200 µs is sent that must be denied all the time, and one that must be
// allowed: nothing may be seen in between.
func (s Subject) probed(t *testing.T, change func(i int) []intent.KernelChange) {
	w := newWorld(t)
	p := s.open(t, w)
	apply(t, p, toB(ingress(versions[0]...))...)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Add(1)
	changed := 0
	go func() {
		defer wait.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			changed++
			if err := p.Apply(context.Background(), change(changed), true); err != nil {
				t.Errorf("change %d: %v", changed, err)
				return
			}
		}
	}()
	allowed := w.expect(t, "tcp a4 > b4:80 = b\ntcp a6 > b6:80 = b")
	denied := w.expect(t, "tcp a4 > b4:22 = drop\ntcp a6 > b6:22 = drop")
	const rounds, each = 250, 10
	sent, lost, leaked := 0, 0, 0
	begin := time.Now()
	for round := range rounds {
		var probes []Probe
		for i := range each {
			for _, list := range [][]expectation{allowed, denied} {
				e := list[i%len(list)]
				e.probe.Packet.SrcPort = uint16(30000 + (round*each+i)%30000)
				probes = append(probes, e.probe)
			}
		}
		for i, a := range w.Send(t, probes...) {
			switch sent++; {
			case i%2 == 0 && a.To == "":
				lost++
			case i%2 == 1 && a.To != "":
				leaked++
			}
		}
		time.Sleep(time.Until(begin.Add(time.Duration(sent) * 200 * time.Microsecond)))
	}
	close(stop)
	wait.Wait()
	t.Logf("%d packets in %v during %d changes: %d lost, %d leaked", sent, time.Since(begin).Round(time.Millisecond), changed, lost, leaked)
	if lost+leaked > 0 || changed < 20 {
		t.Errorf("lost %d, leaked %d during %d changes; want 0, 0 during at least 20", lost, leaked, changed)
	}
}

func (s Subject) restart(t *testing.T) {
	w := newWorld(t)
	for _, c := range cases() {
		p := s.Open(t, w.Router)
		apply(t, p, c.objects...)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		again := s.Open(t, w.Router)
		if err := again.CloseFirst(context.Background(), []string{"cali"}); err != nil {
			t.Fatal(err)
		}
		if err := again.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		apply(t, again, c.objects...)
		if err := again.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		apply(t, again)
		if n := again.Status().Writes; n != 0 {
			t.Errorf("%s: %d messages written by a restart with the same intent", c.name, n)
		}
		w.check(t, c.expect)
		_ = again.Close()
	}
}

// repairWithin is how fast damage must be undone (design §3.11).
const repairWithin = 2 * time.Second

func (s Subject) damage(t *testing.T) {
	w := newWorld(t)
	p := s.open(t, w)
	objects := toB(ingress(intent.Rule{Action: allow, Protocol: tcp, Src: intent.Entity{Sets: []intent.SetID{"s"}}, Dst: intent.Entity{Ports: ports(80, 80, 90, 99)}}),
		addrSet("s", 1, "198.51.100.0/24", "2001:db8:99::/64"))
	apply(t, p, objects...)
	const expect = "tcp a > b:80 = b\ntcp out > b:95 = b\ntcp a > b:81 = drop\ntcp c > b:80 = drop\ntcp u > b:80 = drop\nvia c tcp a > b:80 = drop"
	for _, d := range s.Damage {
		t.Run(d.Name, func(t *testing.T) {
			for len(p.Damage()) > 0 {
				<-p.Damage()
			}
			before := p.Status().Repairs
			d.Do(t, w.Router)
			begin := time.Now()
			select {
			case what := <-p.Damage():
				t.Logf("noticed after %v: %s", time.Since(begin), what)
			case <-time.After(repairWithin):
				t.Fatalf("not noticed within %v", repairWithin)
			}
			if err := p.Sync(context.Background()); err != nil {
				t.Fatal(err)
			}
			apply(t, p)
			if took := time.Since(begin); took > repairWithin {
				t.Errorf("repaired after %v, must be %v", took, repairWithin)
			}
			if after := p.Status().Repairs; after != before+1 {
				t.Errorf("repairs counted: %d, want %d", after, before+1)
			}
			w.check(t, expect)
		})
	}
	for len(p.Damage()) > 0 {
		<-p.Damage()
	}
	apply(t, p, addrSet("s", 3))
	select {
	case what := <-p.Damage():
		t.Errorf("the plane's own change was taken for damage: %s", what)
	case <-time.After(100 * time.Millisecond):
	}
}

func (s Subject) counters(t *testing.T) {
	w := newWorld(t)
	p := s.open(t, w)
	rules := []intent.Rule{
		{Action: log, Src: intent.Entity{Sets: []intent.SetID{"s"}}}, // a is in the set twice: as address and by prefix
		{Action: deny, Protocol: tcp, Dst: intent.Entity{Ports: ports(22, 22)}},
		{Action: allow, Protocol: tcp, Src: intent.Entity{Sets: []intent.SetID{"s"}}, Dst: intent.Entity{Ports: ports(80, 80)}},
		{Action: pass, Protocol: udp},
	}
	pol := policy("p", "default", rules, nil)
	apply(t, p, append(toB(nil), pol, addrSet("s", 1, "10.1.0.0/31", "fd00::/127"), endpoint(2, tier("default", deny, []string{"p"}, nil)))...)
	want := func(counts ...uint64) {
		t.Helper()
		got, err := p.RulePackets()
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range pol.Ingress {
			if got[r.ID] != counts[i] {
				t.Errorf("rule %d counted %d packets, want %d", i, got[r.ID], counts[i])
			}
		}
	}
	want(0, 0, 0, 0)
	w.check(t, "tcp a > b:22 = drop\ntcp c > b:22 = drop\ntcp a > b:80 = b\nudp c > b:1 = b\ntcp c > b:80 = drop")
	want(4, 4, 2, 2)
	// Rewriting the chain, also with more rules at its end, does not lose them.
	pol = policy("p", "default", append(rules, intent.Rule{Action: allow}), nil)
	apply(t, p, pol)
	want(4, 4, 2, 2, 0)
	w.check(t, "tcp a > b:22 = drop\ntcp c > b:80 = b")
	want(6, 6, 2, 2, 2)
	again := s.open(t, w)
	apply(t, again, append(toB(nil), pol, addrSet("s", 1, "10.1.0.0/31", "fd00::/127"), endpoint(2, tier("default", deny, []string{"p"}, nil)))...)
	want(6, 6, 2, 2, 2)
}

// marks: tiers and profiles work with whatever part of the packet mark the plane may use.
func (s Subject) marks(t *testing.T) {
	w := newWorld(t)
	for _, mask := range []uint32{0, 0xffff0000, 0x00000003, 0x80000000} {
		p := s.Open(t, w.Router)
		apply(t, p, host(func(h *intent.Host) { h.MarkMask = mask }), open(), endpoint(1), endpoint(3),
			policy("p", "first", []intent.Rule{{Action: pass, Protocol: tcp}}, nil), policy("q", "second", []intent.Rule{{Action: pass, Protocol: tcp}}, nil),
			endpoint(2, tier("first", deny, []string{"p"}, nil), tier("second", deny, []string{"q"}, nil)))
		w.check(t, "tcp a > b:80 = b\nudp a > b:80 = drop")
		_ = p.Close()
	}
}
