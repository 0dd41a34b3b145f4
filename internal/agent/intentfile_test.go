package agent

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

var saved = []intent.Object{
	&intent.Config{ID: "n1", InterfacePrefixes: []string{"cali"}, MarkMask: 0xffff0000},
	&intent.Set{ID: "s-1", Type: intent.SetAddrs, Members: []intent.Member{{Prefix: netip.MustParsePrefix("10.0.0.1/32")}, {Prefix: netip.MustParsePrefix("fd00::/64")}}},
	&intent.Policy{ID: "p", Key: model.Key{Kind: model.KindNetworkPolicy, Namespace: "a", Name: "b"}, Ingress: []intent.Rule{{ID: 7, Action: model.Allow, Src: intent.Entity{Sets: []intent.SetID{"s-1"}}}}},
	&intent.Endpoint{ID: "k8s/a/w/eth0", Tiers: []intent.Tier{{Name: "default", Ingress: []string{"p"}}}},
	&intent.BlockRoute{ID: "10.0.0.0/26", Prefix: netip.MustParsePrefix("10.0.0.0/26"), Node: "n1"},
}

func TestIntentFileReadsBackEqual(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intent")
	if err := saveIntent(path, "n1", "cluster", saved); err != nil {
		t.Fatal(err)
	}
	got, cluster, err := loadIntent(path, "n1")
	if err != nil || cluster != "cluster" {
		t.Fatal(cluster, err)
	}
	equal := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	addr := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if d := cmp.Diff(saved, got, equal, addr); d != "" {
		t.Fatalf("(-saved +loaded):\n%s", d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: must be 0600", info.Mode(), err)
	}
}

// Whatever is wrong with the file, it is moved aside and reported, and nothing of it is used.
func TestIntentFileThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		damage func([]byte) []byte
		want   string
	}{
		"truncated":      {func(b []byte) []byte { return b[:len(b)-10] }, "checksum"},
		"cut in header":  {func(b []byte) []byte { return b[:20] }, "no header"},
		"empty":          {func([]byte) []byte { return nil }, "no header"},
		"a bit flipped":  {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "checksum"},
		"a newer format": {func(b []byte) []byte { return bytes.Replace(b, []byte(`"format":1`), []byte(`"format":9`), 1) }, "format 9: this release reads 1"},
		"another node's": {func(b []byte) []byte { return bytes.Replace(b, []byte(`"node":"n1"`), []byte(`"node":"n2"`), 1) }, `it is of node "n2", not "n1"`},
		"not gob": {func([]byte) []byte {
			return []byte(`{"format":1,"node":"n1","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}` + "\n")
		}, "EOF"},
	} {
		path := filepath.Join(t.TempDir(), "intent")
		if err := saveIntent(path, "n1", "cluster", saved); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, c.damage(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		objects, _, err := loadIntent(path, "n1")
		if err == nil || !strings.Contains(err.Error(), c.want) || objects != nil {
			t.Errorf("%s: %d objects, %v; want an error with %q", name, len(objects), err, c.want)
		}
		if _, err := os.Stat(path + ".unreadable"); err != nil {
			t.Errorf("%s: not moved aside: %v", name, err)
		}
		if objects, _, err := loadIntent(path, "n1"); objects != nil || err != nil {
			t.Errorf("%s: the second start was disturbed too: %v", name, err)
		}
	}
}
