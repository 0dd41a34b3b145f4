package ipset

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unique"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/model"
)

// TestOwnersFollowTheBlocks: after every change the addresses of each pod are those that the blocks give it, whoever may
// have another one was told of, and when all blocks are gone nothing is kept.
func TestOwnersFollowTheBlocks(t *testing.T) {
	cidrs := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/30"), netip.MustParsePrefix("10.0.0.4/30"), netip.MustParsePrefix("fd00::/126")}
	names, nodes, uids := []string{"a", "b"}, []string{"n1", "n2"}, []string{"", "u1", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"}
	rapid.Check(t, func(t *rapid.T) {
		pods := NewPods()
		owners := NewOwners(pods)
		var asked []PodID
		for _, name := range names {
			asked = append(asked, pods.Use("ns", name))
		}
		blocks := map[netip.Prefix]*model.Block{}
		tell := func(id PodID, node, uid string) string {
			return fmt.Sprint(owners.Addresses(id, unique.Make(node), MakeUID(uid)))
		}
		law := func(name, node, uid string) string {
			var out []netip.Addr
			for cidr, b := range blocks {
				for ordinal, i := range b.Allocations {
					if i < 0 || !b.Attributes[i].ReleasedAt.IsZero() {
						continue
					}
					a := b.Attributes[i].Attributes
					if a[model.AttrPod] == name && a[model.AttrNode] == node && (a[model.AttrUID] == "" || a[model.AttrUID] == uid) {
						out = append(out, (&model.Block{CIDR: cidr}).Addr(ordinal))
					}
				}
			}
			slices.SortFunc(out, netip.Addr.Compare)
			return fmt.Sprint(out)
		}
		every := func(f func(i int, name, node, uid string)) {
			for i, name := range names {
				for _, node := range nodes {
					for _, uid := range uids {
						f(i, name, node, uid)
					}
				}
			}
		}
		set := func(cidr netip.Prefix, b *model.Block) {
			before := map[string]string{}
			every(func(i int, name, node, uid string) {
				before[strings.Join([]string{name, node, uid}, " ")] = tell(asked[i], node, uid)
			})
			if delete(blocks, cidr); b != nil {
				blocks[cidr] = b
			}
			told := map[PodID]bool{}
			owners.SetBlock(cidr, b, func(id PodID) { told[id] = true })
			every(func(i int, name, node, uid string) {
				got, want := tell(asked[i], node, uid), law(name, node, uid)
				if got != want {
					t.Fatalf("%s at %s with %q has %s, must have %s", name, node, uid, got, want)
				}
				if got != before[strings.Join([]string{name, node, uid}, " ")] && !told[asked[i]] {
					t.Fatalf("%s has other addresses, and nobody was told", name)
				}
			})
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			cidr := rapid.SampledFrom(cidrs).Draw(t, "block")
			if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
				set(cidr, nil)
				continue
			}
			b := &model.Block{CIDR: cidr}
			for range 4 {
				if rapid.Bool().Draw(t, "free") {
					b.Allocations = append(b.Allocations, -1)
					continue
				}
				a := model.Allocation{Attributes: map[string]string{
					model.AttrNamespace: "ns", model.AttrPod: rapid.SampledFrom(names).Draw(t, "pod"),
					model.AttrNode: rapid.SampledFrom(nodes).Draw(t, "node"), model.AttrUID: rapid.SampledFrom(uids).Draw(t, "uid")}}
				if rapid.IntRange(0, 5).Draw(t, "released") == 0 {
					a.ReleasedAt = time.Unix(1, 0)
				}
				b.Allocations = append(b.Allocations, len(b.Attributes))
				b.Attributes = append(b.Attributes, a)
			}
			set(cidr, b)
		}
		for _, cidr := range cidrs {
			set(cidr, nil)
		}
		for _, id := range asked {
			pods.Drop(id)
		}
		if n := pods.names.Len() + len(owners.byCIDR) + len(owners.more); n > 0 {
			t.Fatalf("%d pods or blocks are kept of what is gone", n)
		}
	})
}

// TestPrefixesComeBack: of both families, hosts and nets, in their order.
func TestPrefixesComeBack(t *testing.T) {
	want := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("0.0.0.0/0"),
		netip.MustParsePrefix("::/0"), netip.MustParsePrefix("fd00::1/128"), netip.MustParsePrefix("10.0.0.0/8"),
	}
	if got := slices.Collect(packPrefixes(want).all()); !slices.Equal(got, want) {
		t.Errorf("%v became %v", want, got)
	}
}

// TestUIDsAreTold: two texts are two UIDs, however alike they are.
func TestUIDsAreTold(t *testing.T) {
	texts := []string{"", "0", "00000000-0000-0000-0000-000000000000", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
		"0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0", "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f1"}
	seen := map[UID]string{}
	for _, text := range texts {
		u := MakeUID(text)
		if other, ok := seen[u]; ok {
			t.Errorf("%q and %q are the same UID", text, other)
		}
		seen[u] = text
		if (u == UID{}) != (text == "") {
			t.Errorf("%q: UID %v", text, u)
		}
	}
}
