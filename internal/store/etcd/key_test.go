package etcd

import (
	"bufio"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// recorded reads the keys and values that real Calico wrote: key line, value line.
func recorded(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	pairs := map[string]string{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key := lines.Text()
		if !strings.HasPrefix(key, "/") || !lines.Scan() {
			t.Fatalf("%s: %q: not a key with a value", path, key)
		}
		pairs[key] = lines.Text()
	}
	if err := lines.Err(); err != nil || len(pairs) == 0 {
		t.Fatalf("%s: %d pairs, %v", path, len(pairs), err)
	}
	return pairs
}

func TestRecordedKeysReadAndWriteBackEqual(t *testing.T) {
	objects := 0
	for _, path := range []string{"testdata/calico-store.txt", "testdata/calico-felix-status.txt"} {
		for raw := range recorded(t, path) {
			key, ok, err := DecodeKey(raw)
			if status := strings.HasPrefix(raw, "/calico/felix/"); status || !ok || err != nil {
				if !status || ok {
					t.Errorf("%s: %v, %v, %v", raw, key, ok, err)
				}
				continue
			}
			objects++
			if back, err := EncodeKey(key); err != nil || back != raw {
				t.Errorf("%s: read as %s, written as %q, %v", raw, key, back, err)
			}
			spans, err := spansOf(key.Kind, key.Namespace)
			if err != nil {
				t.Error(err)
			}
			within := 0
			for _, s := range spans {
				if s.start <= raw && raw < s.end {
					within++
				}
			}
			if within != 1 {
				t.Errorf("%s lies in %d of the ranges of its kind and namespace; want 1", raw, within)
			}
		}
	}
	if objects < 40 {
		t.Errorf("only %d objects in the recorded stores", objects)
	}
}

func TestKeys(t *testing.T) {
	for raw, key := range map[string]model.Key{
		"/calico/resources/v3/projectcalico.org/tiers/default":                    {Kind: model.KindTier, Name: "default"},
		"/calico/resources/v3/projectcalico.org/networkpolicies/ns/knp.default.a": {Kind: model.KindNetworkPolicy, Namespace: "ns", Name: "knp.default.a"},
		"/calico/ipam/v2/config":                                        {Kind: model.KindIPAMConfig, Name: "default"},
		"/calico/ipam/v2/handle/k8s-pod-network.0a":                     {Kind: model.KindHandle, Name: "k8s-pod-network.0a"},
		"/calico/ipam/v2/assignment/ipv4/block/10.65.107.0-26":          {Kind: model.KindBlock, Name: "10.65.107.0/26"},
		"/calico/ipam/v2/assignment/ipv6/block/fd65::-122":              {Kind: model.KindBlock, Name: "fd65::/122"},
		"/calico/ipam/v2/host/node-1/ipv6/block/fd65::40-122":           {Kind: model.KindAffinity, Namespace: "host:node-1", Name: "fd65::40/122"},
		"/calico/ipam/v2/virtual/load-balancer/ipv4/block/10.65.2.0-26": {Kind: model.KindAffinity, Namespace: "virtual:load-balancer", Name: "10.65.2.0/26"},
		"/tortie/v1/kubernetes/pods/ns/web-0":                           {Kind: model.KindPod, Namespace: "ns", Name: "web-0"},
		"/tortie/v1/kubernetes/networkpolicies/ns/a":                    {Kind: model.KindKubernetesNetworkPolicy, Namespace: "ns", Name: "a"},
		"/tortie/v1/kubernetes/clusternetworkpolicies/a":                {Kind: model.KindClusterNetworkPolicy, Name: "a"},
		"/tortie/v1/kubernetes/namespaces/ns":                           {Kind: model.KindNamespace, Name: "ns"},
	} {
		if got, err := EncodeKey(key); err != nil || got != raw {
			t.Errorf("%s: written as %q, %v; want %q", key, got, err, raw)
		}
		if got, ok, err := DecodeKey(raw); !ok || err != nil || got != key {
			t.Errorf("%s: read as %s, %v, %v; want %s", raw, got, ok, err, key)
		}
	}
}

func TestEveryKindHasOneForm(t *testing.T) {
	roots := map[string]model.Kind{}
	for kind, f := range forms {
		if other, taken := roots[f.root]; taken {
			t.Errorf("%s and %s share %s", kind, other, f.root)
		}
		roots[f.root] = kind
		key := model.Key{Kind: kind, Name: "n"}
		if f.namespaced {
			key.Namespace = "ns"
		}
		raw, err := EncodeKey(key)
		if err != nil {
			t.Error(err)
		}
		if back, ok, err := DecodeKey(raw); !ok || err != nil || back != key {
			t.Errorf("%s: %s came back as %s, %v, %v", key, raw, back, ok, err)
		}
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	for _, key := range []model.Key{
		{}, {Kind: "Nonsense", Name: "a"},
		{Kind: model.KindTier}, {Kind: model.KindTier, Name: "a/b"}, {Kind: model.KindTier, Namespace: "ns", Name: "a"},
		{Kind: model.KindNetworkPolicy, Name: "a"}, {Kind: model.KindNetworkPolicy, Namespace: "a/b", Name: "a"}, {Kind: model.KindNetworkPolicy, Namespace: "ns"},
		{Kind: model.KindBlock, Name: "10.65.1.0"}, {Kind: model.KindBlock, Name: "10.65.1.1/26"}, {Kind: model.KindBlock, Name: "10.65.1.0-26"},
		{Kind: model.KindBlock, Name: "fd65:0::/122"}, {Kind: model.KindBlock, Namespace: "host:a", Name: "10.65.1.0/26"},
		{Kind: model.KindAffinity, Name: "10.65.1.0/26"}, {Kind: model.KindAffinity, Namespace: "node", Name: "10.65.1.0/26"},
		{Kind: model.KindAffinity, Namespace: "host:", Name: "10.65.1.0/26"}, {Kind: model.KindAffinity, Namespace: "host:a/b", Name: "10.65.1.0/26"},
		{Kind: model.KindAffinity, Namespace: "host:a", Name: "x"}, {Kind: model.KindHandle}, {Kind: model.KindHandle, Namespace: "ns", Name: "a"},
		{Kind: model.KindIPAMConfig, Name: "other"}, {Kind: model.KindIPAMConfig, Namespace: "ns", Name: "default"},
	} {
		if raw, err := EncodeKey(key); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s was written as %q, %v; want ErrInvalid", key, raw, err)
		}
	}
}

func TestForeignKeysAreNotObjects(t *testing.T) {
	for _, raw := range []string{
		"", "/", "/registry/pods/ns/a", "/calico/v1/Ready", "/calico/ipam/v2/host/node1", "/calico/ipam/v2/host/node1/other/x",
		"/calico/ipam/v2/assignment/ipv5/block/1", "/calico/ipam/v2/handle/", "/calico/ipam/v2/configuration",
		"/calico/resources/v3/projectcalico.org/", "/calico/resources/v3/projectcalico.org/tiers", "/calico/resources/v3/projectcalico.org/tiers/",
		"/calico/resources/v3/projectcalico.org/livemigrations/ns/a", "/tortie/v1/kubernetes/secrets/ns/a", "/tortie/v2/kubernetes/pods/ns/a",
	} {
		if key, ok, err := DecodeKey(raw); ok || err != nil {
			t.Errorf("%q: read as %s, %v, %v; want no object", raw, key, ok, err)
		}
	}
}

func TestKeysWithoutARightNameAreReported(t *testing.T) {
	for _, raw := range []string{
		"/calico/ipam/v2/assignment/ipv4/block/nonsense", "/calico/ipam/v2/assignment/ipv4/block/fd65::-122", "/calico/ipam/v2/assignment/ipv4/block/10.65.1.1-26",
		"/calico/ipam/v2/host/a/ipv4/block/10.65.1.0", "/calico/resources/v3/projectcalico.org/networkpolicies/orphan",
		"/calico/resources/v3/projectcalico.org/tiers/a/b", "/tortie/v1/kubernetes/pods/ns/a/b",
	} {
		if key, ok, err := DecodeKey(raw); !ok || err == nil {
			t.Errorf("%q: read as %s, %v, %v; want an object with a problem", raw, key, ok, err)
		}
	}
}

func TestWatchedRanges(t *testing.T) {
	resources, ipam, kubernetes, calico := below(resourceRoot), below(ipamRoot), below(kubernetesRoot), below("/calico/")
	for _, c := range []struct {
		q    store.Query
		want []span
	}{
		{store.Query{Kinds: []model.Kind{model.KindTier}}, []span{below(resourceRoot + "tiers/")}},
		{store.Query{Kinds: []model.Kind{model.KindPod}, Namespace: "ns"}, []span{below(kubernetesRoot + "pods/ns/")}},
		{store.Query{Kinds: []model.Kind{model.KindTier, model.KindNode}}, []span{resources}},
		{store.Query{Kinds: []model.Kind{model.KindBlock, model.KindAffinity}}, []span{ipam}},
		{store.Query{Kinds: []model.Kind{model.KindBlock, model.KindNode}}, []span{calico}},
		{store.Query{Kinds: []model.Kind{model.KindPod, model.KindNode}}, []span{resources, kubernetes}},
		{store.Query{Kinds: []model.Kind{model.KindPod, model.KindNode, model.KindBlock}}, []span{calico, kubernetes}},
		{store.Query{Kinds: []model.Kind{model.KindTier}, Namespace: "ns"}, nil},
	} {
		got, err := watchSpans(c.q)
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%v: %v, %v; want %v", c.q, got, err, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%v: %v; want %v", c.q, got, c.want)
			}
		}
	}
	if _, err := watchSpans(store.Query{Kinds: []model.Kind{"Nonsense"}}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an unknown kind: %v", err)
	}
}

func FuzzDecodeKey(f *testing.F) {
	f.Add("/calico/ipam/v2/assignment/ipv4/block/10.65.107.0-26")
	f.Add("/calico/ipam/v2/host/a/ipv6/block/fd65::-122")
	f.Add("/calico/resources/v3/projectcalico.org/networkpolicies/ns/a")
	f.Fuzz(func(t *testing.T, raw string) {
		key, ok, err := DecodeKey(raw)
		if !ok || err != nil {
			return
		}
		if back, err := EncodeKey(key); err != nil || back != raw {
			t.Errorf("%q: read as %#v, written as %q, %v", raw, key, back, err)
		}
	})
}

func TestProgressIsBelievedSince(t *testing.T) {
	for version, want := range map[string]bool{
		"3.4.24": false, "3.4.25": true, "3.5.7": false, "3.5.8": true, "3.6.0": true, "3.7.3": true, "3.3.99": false, "4.0.0": true, "": false, "new": false,
	} {
		if got := exactSince(version); got != want {
			t.Errorf("etcd %q: %v; want %v", version, got, want)
		}
	}
}
