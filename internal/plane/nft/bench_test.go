package nft

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// load is an intent of policies that each allow one set to one port of one of 100 endpoints.
func load(policies int) []intent.Object {
	objects := []intent.Object{&intent.Host{}, &intent.Profile{ID: "open", Ingress: []intent.Rule{{ID: 1, Action: model.Allow}}, Egress: []intent.Rule{{ID: 2, Action: model.Allow}}}}
	const endpoints = 100
	tiers := make([]intent.Tier, endpoints)
	for i := range policies {
		set, pol := loadPolicy(i)
		objects = append(objects, set, pol)
		t := &tiers[i%endpoints]
		t.Name = "default"
		t.Ingress = append(t.Ingress, pol.ID)
	}
	for i, t := range tiers {
		objects = append(objects, loadEndpoint(i, t))
	}
	return objects
}

func loadPolicy(i int) (*intent.Set, *intent.Policy) {
	set := &intent.Set{ID: intent.SetID(fmt.Sprintf("set-%d", i)), Type: intent.SetAddrs, Members: loadMembers(i*10, 10)}
	key := model.Key{Kind: model.KindNetworkPolicy, Namespace: "ns", Name: fmt.Sprintf("policy-%d", i)}
	return set, &intent.Policy{ID: key.String(), Key: key, Tier: "default", Ingress: []intent.Rule{{
		ID: intent.RuleID(i + 100), Action: model.Allow, Protocol: model.ProtoTCP,
		Src: intent.Entity{Sets: []intent.SetID{set.ID}}, Dst: intent.Entity{Ports: []intent.PortRange{{Min: 80, Max: 80}}},
	}}}
}

func loadEndpoint(i int, t intent.Tier) *intent.LocalEndpoint {
	e := &intent.LocalEndpoint{ID: fmt.Sprintf("ep-%d", i), Interface: fmt.Sprintf("cali%d", i), Profiles: []string{"open"}}
	if len(t.Ingress) > 0 {
		e.Tiers = []intent.Tier{t}
	}
	return e
}

func loadMembers(from, n int) []intent.Member {
	var out []intent.Member
	for i := from; i < from+n; i++ {
		out = append(out, intent.Member{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)})
	}
	return out
}

// perChange runs do for each change and reports the messages and bytes that it wrote, beside the time.
func perChange(b *testing.B, p *Plane, do func(i int) []intent.KernelChange) {
	before := p.Status()
	i := 0
	for b.Loop() {
		if err := p.Apply(context.Background(), do(i), true); err != nil {
			b.Fatal(err)
		}
		i++
	}
	after := p.Status()
	b.ReportMetric(float64(after.Writes-before.Writes)/float64(i), "messages/op")
	b.ReportMetric(float64(after.Bytes-before.Bytes)/float64(i), "netlink-B/op")
}

func BenchmarkMember(b *testing.B) {
	for _, policies := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("policies=%d", policies), func(b *testing.B) {
			p := open(b, newNamespace(b))
			apply(b, p, load(policies)...)
			member := loadMembers(1<<20, 1)
			perChange(b, p, func(i int) []intent.KernelChange {
				d := &intent.SetDelta{ID: "set-7", Add: member}
				if i%2 == 1 {
					d = &intent.SetDelta{ID: "set-7", Remove: member}
				}
				return change(d)
			})
		})
	}
}

// BenchmarkPolicy adds a policy with its set to one endpoint, or takes it back.
func BenchmarkPolicy(b *testing.B) {
	for _, policies := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("policies=%d", policies), func(b *testing.B) {
			p := open(b, newNamespace(b))
			apply(b, p, load(policies)...)
			set, pol := loadPolicy(policies + 1)
			with := loadEndpoint(200, intent.Tier{Name: "default", Ingress: []string{pol.ID}})
			without := loadEndpoint(200, intent.Tier{})
			perChange(b, p, func(i int) []intent.KernelChange {
				if i%2 == 0 {
					return change(set, pol, with)
				}
				return append(change(without), intent.KernelChange{Ref: pol.Ref()}, intent.KernelChange{Ref: set.Ref()})
			})
		})
	}
}

func BenchmarkEndpoint(b *testing.B) {
	for _, policies := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("policies=%d", policies), func(b *testing.B) {
			p := open(b, newNamespace(b))
			apply(b, p, load(policies)...)
			e := loadEndpoint(200, intent.Tier{Name: "default", Ingress: []string{"NetworkPolicy/ns/policy-3"}})
			member := loadMembers(1<<20, 1)
			perChange(b, p, func(i int) []intent.KernelChange {
				if i%2 == 0 {
					return change(e, &intent.SetDelta{ID: "set-7", Add: member})
				}
				return append(change(&intent.SetDelta{ID: "set-7", Remove: member}), intent.KernelChange{Ref: e.Ref()})
			})
		})
	}
}

func BenchmarkLoad5000(b *testing.B) {
	objects := load(5000)
	for b.Loop() {
		b.StopTimer()
		ns := newNamespace(b)
		p := open(b, ns)
		b.StartTimer()
		apply(b, p, objects...)
		b.StopTimer()
		_ = p.Close()
		b.StartTimer()
	}
}

// BenchmarkRestart is an agent that starts again: the whole intent against a table that is as it should be, with 5,000
// policies that each have a set of 40 members.
func BenchmarkRestart(b *testing.B) {
	objects := load(5000)
	for i, o := range objects {
		if set, ok := o.(*intent.Set); ok {
			set.Members = loadMembers(i*40, 40)
		}
	}
	ns := newNamespace(b)
	apply(b, open(b, ns), objects...)
	for b.Loop() {
		p, err := New(ns.FD())
		if err != nil {
			b.Fatal(err)
		}
		apply(b, p, objects...)
		if n := p.Status().Writes; n != 0 {
			b.Fatalf("%d writes", n)
		}
		_ = p.Close()
	}
}

// BenchmarkVerify compares 200,000 members, in sets of different sizes, with the kernel's.
func BenchmarkVerify(b *testing.B) {
	for _, sets := range []int{2, 20, 2000} {
		b.Run(fmt.Sprintf("sets=%d", sets), func(b *testing.B) {
			p := open(b, newNamespace(b))
			objects := []intent.Object{&intent.Host{}}
			for i := range sets {
				objects = append(objects, &intent.Set{ID: intent.SetID(fmt.Sprint("set-", i)), Type: intent.SetAddrs, Members: loadMembers(i*200_000/sets, 200_000/sets)})
			}
			apply(b, p, objects...)
			for b.Loop() {
				if err := p.Sync(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			if s := p.Status(); s.Pending != 0 {
				b.Fatalf("%d pending", s.Pending)
			}
		})
	}
}
