package policy

import (
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// TestPackedIsTheSamePolicy: whatever can be packed comes back as it was, nil lists as nil ones, and is known by its key
// and no other.
func TestPackedIsTheSamePolicy(t *testing.T) {
	packed := 0
	rapid.Check(t, func(t *rapid.T) {
		want := drawPolicy(t)
		p, ok := Pack(want)
		if !ok {
			t.Fatalf("%+v cannot be packed", want)
		}
		packed++
		got := p.Unpack(want.Subject)
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Fatal(diff)
		}
		other := want.Key
		other.Name += "x"
		if !p.Is(want.Key) || p.Is(other) || p.Is(model.Key{Kind: want.Key.Kind, Namespace: want.Key.Name, Name: want.Key.Namespace + "y"}) {
			t.Fatalf("%v is not known by its key", want.Key)
		}
	})
	if packed == 0 {
		t.Fatal("nothing was packed")
	}
}

// TestWhatHasNoTextIsNotPacked: else its rules would come back with another selector.
func TestWhatHasNoTextIsNotPacked(t *testing.T) {
	for name, s := range map[string]*selector.Selector{
		"both quotes":       selector.Equals("a", `'"`),
		"the mark":          selector.Equals("a", "\x01"),
		"the zero selector": {},
	} {
		p := &model.Policy{Key: model.Key{Kind: model.KindNetworkPolicy, Name: "p"}, Ingress: []model.Rule{{Src: model.Entity{Selector: s}}}}
		if _, ok := Pack(p); ok {
			t.Errorf("%s: packed", name)
		}
	}
	if _, ok := Pack(&model.Policy{Key: model.Key{Kind: model.KindPod}}); ok {
		t.Error("a kind that no policy has: packed")
	}
}

func drawPolicy(t *rapid.T) *model.Policy {
	text := rapid.StringMatching(`[a-z./]{0,20}`)
	yes := func(label string) bool { return rapid.Bool().Draw(t, label) }
	return &model.Policy{
		Key: model.Key{Kind: rapid.SampledFrom(kinds[:]).Draw(t, "kind"), Namespace: text.Draw(t, "ns"), Name: text.Draw(t, "name")},
		UID: rapid.SampledFrom([]string{"", "x", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0",
			"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1fg", "00000000-0000-0000-0000-000000000000"}).Draw(t, "uid"),
		Tier:    rapid.SampledFrom([]string{"", model.TierDefault, model.TierKubeBaseline, "own"}).Draw(t, "tier"),
		Order:   rapid.SampledFrom([]float64{0, -1.5, 1000, math.Inf(1), math.Inf(-1)}).Draw(t, "order"),
		Staged:  rapid.SampledFrom([]model.StagedAction{"", model.StagedSet, model.StagedDelete}).Draw(t, "staged"),
		Subject: selector.Has("a"), Ingress: drawList(t, "ingress", drawRule), Egress: drawList(t, "egress", drawRule),
		AppliesIngress: yes("in"), AppliesEgress: yes("out"), DoNotTrack: yes("untracked"), PreDNAT: yes("preDNAT"),
		ApplyOnForward: yes("forward"), AssumeNeededOnEveryNode: yes("hint"), Invalid: text.Draw(t, "invalid"),
	}
}

func drawRule(t *rapid.T) model.Rule {
	icmp := func(label string) model.ICMP {
		return model.ICMP{Set: rapid.Bool().Draw(t, label), Type: rapid.Byte().Draw(t, label), HasCode: rapid.Bool().Draw(t, label), Code: rapid.Byte().Draw(t, label)}
	}
	return model.Rule{
		Action: model.Action(rapid.IntRange(0, 3).Draw(t, "action")), IPVersion: rapid.SampledFrom([]uint8{0, 4, 6}).Draw(t, "version"),
		Protocol: rapid.Byte().Draw(t, "protocol"), NotProtocol: rapid.Byte().Draw(t, "not protocol"),
		ICMP: icmp("icmp"), NotICMP: icmp("not icmp"), Src: drawEntity(t), Dst: drawEntity(t),
		Annotations: rapid.SampledFrom([]map[string]string{nil, {}, {"a": "b", "c": ""}}).Draw(t, "annotations"),
	}
}

func drawEntity(t *rapid.T) model.Entity {
	prefix := func(t *rapid.T) netip.Prefix {
		return netip.MustParsePrefix(rapid.SampledFrom([]string{"10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::1/128"}).Draw(t, "net"))
	}
	port := func(t *rapid.T) model.Port {
		return model.Port{Min: rapid.Uint16().Draw(t, "min"), Max: rapid.Uint16().Draw(t, "max"), Name: rapid.SampledFrom([]string{"", "http"}).Draw(t, "port")}
	}
	sel := func() *selector.Selector {
		return rapid.SampledFrom([]*selector.Selector{
			nil, selector.All(), selector.Equals("projectcalico.org/namespace", "n"), selector.In("a"), selector.Not(selector.Has("b")),
			selector.And(selector.NotIn("a", "x y", "it's"), selector.Or(selector.Has("b"), selector.Equals("c", `"`))),
		}).Draw(t, "selector")
	}
	return model.Entity{
		Nets: drawList(t, "nets", prefix), NotNets: drawList(t, "not nets", prefix), Selector: sel(), NotSelector: sel(),
		Ports: drawList(t, "ports", port), NotPorts: drawList(t, "not ports", port),
		Service: rapid.SampledFrom([]*model.ServiceRef{nil, {}, {Namespace: "n", Name: "s"}}).Draw(t, "service"),
	}
}

// drawList is nil, empty, or has a few elements.
func drawList[T any](t *rapid.T, label string, draw func(*rapid.T) T) []T {
	n := rapid.IntRange(-1, 2).Draw(t, label)
	if n < 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		list[i] = draw(t)
	}
	return list
}
