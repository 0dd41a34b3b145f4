package convert

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// recorded is one key and value of the store that real Calico wrote.
type recorded struct {
	path string
	key  model.Key
	raw  []byte
}

// recordedStore reads testdata/etcd.txt: a line with the key, a line with the value. Status keys of Felix are left out.
func recordedStore(t testing.TB) []recorded {
	t.Helper()
	text, err := os.ReadFile("testdata/etcd.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var out []recorded
	for i := 0; i+1 < len(lines); i += 2 {
		if key, ok := keyOfPath(t, lines[i]); ok {
			out = append(out, recorded{lines[i], key, []byte(lines[i+1])})
		}
	}
	if len(out) < 35 {
		t.Fatalf("testdata/etcd.txt: read %d objects: must be at least 35", len(out))
	}
	return out
}

// keyOfPath understands the keys of the recorded store.
func keyOfPath(t testing.TB, path string) (model.Key, bool) {
	cidr := func(s string) string {
		i := strings.LastIndexByte(s, '-')
		return s[:i] + "/" + s[i+1:]
	}
	if rest, ok := strings.CutPrefix(path, "/calico/resources/v3/projectcalico.org/"); ok {
		parts := strings.Split(rest, "/")
		info, ok := Lookup(parts[0])
		if !ok {
			t.Fatalf("%s: the kind is not known", path)
		}
		key := model.Key{Kind: info.Kind, Name: parts[len(parts)-1]}
		if len(parts) == 3 {
			key.Namespace = parts[1]
		}
		return key, true
	}
	if rest, ok := strings.CutPrefix(path, "/calico/ipam/v2/"); ok {
		parts := strings.Split(rest, "/")
		last := parts[len(parts)-1]
		switch parts[0] {
		case "assignment":
			return model.Key{Kind: model.KindBlock, Name: cidr(last)}, true
		case "host":
			return model.Key{Kind: model.KindAffinity, Namespace: "host:" + parts[1], Name: cidr(last)}, true
		case "handle":
			return model.Key{Kind: model.KindHandle, Name: last}, true
		case "config":
			return model.Key{Kind: model.KindIPAMConfig, Name: "default"}, true
		}
	}
	return model.Key{}, false
}

// sameBytes compares stored forms. The fields of a FelixConfiguration stand in an order of our own; it is compared by
// field.
func sameBytes(t *testing.T, key model.Key, a, b []byte) bool {
	t.Helper()
	if key.Kind != model.KindFelixConfiguration {
		return bytes.Equal(a, b)
	}
	treeA, errA := jsonTree(a)
	treeB, errB := jsonTree(b)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	return cmp.Equal(treeA, treeB)
}

// What Calico wrote reads, and written again it is the same byte for byte. The two objects named "bare" were put by
// hand: they lack kind and uid.
func TestRecordedStoreRoundTrips(t *testing.T) {
	for _, r := range recordedStore(t) {
		value, err := Decode(r.key, r.raw)
		if err != nil {
			t.Errorf("%s: %v", r.path, err)
			continue
		}
		raw, err := Encode(r.key, value)
		if err != nil {
			t.Errorf("%s: %v", r.path, err)
			continue
		}
		if r.key.Name != "bare" && !sameBytes(t, r.key, raw, r.raw) {
			t.Errorf("%s:\n got %s\nwant %s", r.path, raw, r.raw)
		}
	}
}

// Everything that Calico wrote has a model, without a complaint.
func TestRecordedStoreConverts(t *testing.T) {
	for _, r := range recordedStore(t) {
		value, err := Decode(r.key, r.raw)
		if err != nil {
			t.Fatal(err)
		}
		out, err := Model(r.key, value)
		if err != nil {
			t.Errorf("%s: %v", r.path, err)
		}
		if none := r.key.Kind == model.KindKubeControllersConfiguration || r.key.Kind == model.KindCalicoNodeStatus; none != (out == nil) {
			t.Errorf("%s: model is %v", r.path, out)
		}
	}
}

// What a user applied to Calico gives, applied here, what Calico stored: defaults, types, labels, annotations, field
// order. uid and creationTimestamp are each store's own. Left out is what was changed in the store after the apply.
func TestApplyGivesWhatCalicoStored(t *testing.T) {
	changedLater := map[string]bool{
		"FelixConfiguration/default": true, // endpointStatusPathPrefix, wireguardEnabled
		"GlobalNetworkPolicy/gnp1":   true, // order
		"Node/compat-node":           true, // tunnel address
		"ClusterInformation/default": true, // read only for its client
	}
	file, err := os.Open("testdata/objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	manifests, err := ParseManifest(file, "objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[model.Key]recorded)
	for _, r := range recordedStore(t) {
		stored[r.key] = r
	}
	compared := 0
	for _, m := range manifests {
		want, ok := stored[m.Key]
		if !ok || changedLater[m.Key.String()] {
			continue
		}
		old, err := Decode(want.key, want.raw) // gives uid and creationTimestamp
		if err != nil {
			t.Fatal(err)
		}
		if np, ok := m.Value.(*v3.NetworkPolicy); ok {
			np.Spec.Ingress[0].HTTP = nil // the recorded store holds np1 without it
		}
		prepared, _, err := Prepare(m.Key, m.Value, old)
		if err != nil {
			t.Errorf("%s:%d: %v", m.Source, m.Line, err)
			continue
		}
		withoutHonoured(prepared) // a word of Tortie's own
		raw, err := Encode(m.Key, prepared)
		if err != nil {
			t.Fatal(err)
		}
		if !sameBytes(t, m.Key, raw, want.raw) {
			t.Errorf("%s:\n got %s\nwant %s", m.Key, raw, want.raw)
		}
		compared++
	}
	if compared < 20 {
		t.Errorf("compared %d objects: must be at least 20", compared)
	}
}

// withoutHonoured takes the condition Honoured, and a status that held nothing else, away.
func withoutHonoured(value any) {
	setHonoured(value, nil, nil)
	v := reflect.ValueOf(value).Elem().FieldByName("Status")
	if !v.IsValid() {
		return
	}
	if s, ok := v.Interface().(*v3.Conditions); ok && s != nil && len(s.Conditions) == 0 {
		v.SetZero()
	}
}

// A field without effect is named by a condition; it goes when the field goes, and keeps its time while it stays.
func TestConditionHonoured(t *testing.T) {
	fields := v3.NotYet["HostEndpoint"]
	if len(fields) == 0 {
		t.Fatal("HostEndpoint has no field without effect any more: take another kind for this test")
	}
	key := model.Key{Kind: model.KindHostEndpoint, Name: "h"}
	host := &v3.HostEndpoint{}
	host.Name, host.Spec.Node, host.Spec.InterfaceName = "h", "n1", "eth0"
	first, warnings, err := Prepare(key, host, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := conditionsOf(first, false)
	if len(warnings) == 0 || c == nil || len(c.Conditions) != 1 || c.Conditions[0].Type != ConditionHonoured || c.Conditions[0].Status != "False" {
		t.Fatalf("warnings %v, conditions %+v", warnings, c)
	}
	then := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	c.Conditions[0].LastTransitionTime = then
	second, _, err := Prepare(key, first, first)
	if err != nil {
		t.Fatal(err)
	}
	if got := conditionsOf(second, false).Conditions[0].LastTransitionTime; !got.Equal(&then) {
		t.Errorf("the time of an unchanged condition became %s", got)
	}
}
