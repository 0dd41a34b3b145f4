package cases

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/policy"
	"github.com/tortie-net/tortie/internal/selector"
)

// TestSameSeedSameCases: a printed seed must bring the same case back.
func TestSameSeedSameCases(t *testing.T) {
	seen := map[string]uint64{}
	for seed := range uint64(20) {
		u, again := Generate(seed, Small), Generate(seed, Small)
		if !reflect.DeepEqual(u, again) || !slices.Equal(u.Packets(50), again.Packets(50)) || !slices.Equal(u.Packets(50), u.Packets(50)) {
			t.Fatalf("seed %d gives other cases the second time", seed)
		}
		authored, err := json.Marshal(u.Authored)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(string(authored), u.Packets(50))
		if other, ok := seen[text]; ok {
			t.Errorf("seeds %d and %d give the same cases", seed, other)
		}
		seen[text] = seed
	}
}

// TestTextsParse: every selector that is drawn is one, and its text says what it says.
func TestTextsParse(t *testing.T) {
	for seed := range uint64(200) {
		for _, o := range Generate(seed, Small).Updates {
			p, ok := o.Value.(*model.Policy)
			if !ok {
				continue
			}
			for _, r := range append(slices.Clone(p.Ingress), p.Egress...) {
				for _, s := range []*selector.Selector{p.Subject, r.Src.Selector, r.Src.NotSelector, r.Dst.Selector, r.Dst.NotSelector} {
					if s == unparsed {
						t.Errorf("seed %d: %v has a selector that could not be parsed", seed, o.Key)
					}
				}
			}
		}
	}
}

// TestOwnersAreThoseOfTheLaw: what the generator says of who owns which address is what the law says (R145).
func TestOwnersAreThoseOfTheLaw(t *testing.T) {
	for seed := range uint64(200) {
		u := Generate(seed, Small)
		law := policy.New(u.Updates)
		for _, e := range u.Local {
			if _, ok := e.Value.(*model.WorkloadEndpoint); !ok {
				continue
			}
			for node := range Small.Nodes {
				for place := range Small.Workloads + 1 {
					for _, a := range workloadAddrs(node, place) {
						if slices.Contains(e.Addresses, a) != slices.Contains(law.Owners(a), e.Key) {
							t.Errorf("seed %d: %v owns %v: generator %t, law %v", seed, e.Key, a, slices.Contains(e.Addresses, a), law.Owners(a))
						}
					}
				}
			}
		}
	}
}

func TestLast(t *testing.T) {
	for text, want := range map[string]string{"10.65.0.4/30": "10.65.0.7", "198.51.100.128/25": "198.51.100.255", "fd65::/122": "fd65::3f", "2001:db8:9::7/128": "2001:db8:9::7"} {
		if got := last(netip.MustParsePrefix(text)); got.String() != want {
			t.Errorf("last address of %s is %v, want %s", text, got, want)
		}
	}
}
