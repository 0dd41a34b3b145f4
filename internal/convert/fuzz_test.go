package convert

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/tortie-net/tortie/internal/model"
)

// fuzzKinds are all kinds that Decode reads, with a key for each.
func fuzzKinds() []model.Key {
	keys := []model.Key{
		{Kind: model.KindBlock, Name: "10.65.1.0/26"},
		{Kind: model.KindAffinity, Namespace: "host:n", Name: "10.65.1.0/26"},
		{Kind: model.KindHandle, Name: "h"},
		{Kind: model.KindIPAMConfig, Name: "default"},
	}
	for _, info := range Kinds() {
		key := model.Key{Kind: info.Kind, Name: "default"}
		if info.Namespaced {
			key.Namespace = "ns"
		}
		keys = append(keys, key)
	}
	return keys
}

func seedRecorded(f *testing.F) {
	keys := fuzzKinds()
	for _, r := range recordedStore(f) {
		for i, key := range keys {
			if key.Kind == r.key.Kind {
				f.Add(uint8(i), r.raw)
			}
		}
	}
}

// What Decode reads, Encode writes, and what that wrote reads again and writes the same.
func FuzzDecode(f *testing.F) {
	seedRecorded(f)
	keys := fuzzKinds()
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		key := keys[int(kind)%len(keys)]
		value, err := Decode(key, raw)
		if err != nil {
			return
		}
		once, err := Encode(key, value)
		if err != nil {
			return // a quantity or time that JSON cannot hold
		}
		again, err := Decode(key, once)
		if err != nil {
			t.Fatalf("%s: wrote %s, which does not read: %v", key, once, err)
		}
		twice, err := Encode(key, again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s: wrote %s, then %s, %v", key, once, twice, err)
		}
	})
}

// Model and Prepare stand whatever an object holds; a policy is never absent, and an invalid one only denies.
func FuzzModel(f *testing.F) {
	seedRecorded(f)
	keys := fuzzKinds()
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		key := keys[int(kind)%len(keys)]
		value, err := Decode(key, raw)
		if err != nil {
			value, err = Unreadable(key, err)
			checkPolicy(t, key, value, err)
			return
		}
		out, err := Model(key, value)
		checkPolicy(t, key, out, err)

		prepared, _, err := Prepare(key, value, nil)
		if err != nil {
			return
		}
		if _, err := Model(key, prepared); err != nil {
			t.Fatalf("%s: Prepare took %s, Model says %v", key, raw, err)
		}
	})
}

func checkPolicy(t *testing.T, key model.Key, value any, err error) {
	t.Helper()
	if !strings.HasSuffix(string(key.Kind), "NetworkPolicy") {
		return
	}
	policy, ok := value.(*model.Policy)
	if !ok || policy == nil || policy.Subject == nil {
		t.Fatalf("%s: has no policy: %v", key, value)
	}
	if policy.Invalid == "" {
		return
	}
	if err == nil {
		t.Fatalf("%s: is invalid without an error", key)
	}
	for _, rules := range [][]model.Rule{policy.Ingress, policy.Egress} {
		if len(rules) > 1 || len(rules) == 1 && rules[0].Action != model.Deny {
			t.Fatalf("%s: is invalid and has rules %v", key, rules)
		}
	}
	if len(policy.Ingress)+len(policy.Egress) == 0 {
		t.Fatalf("%s: is invalid and denies nothing", key)
	}
}

// What ParseManifest makes of any text encodes, and its lines lie within the text.
func FuzzManifest(f *testing.F) {
	text, err := os.ReadFile("testdata/objects.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, doc := range strings.Split(string(text), "---\n") {
		f.Add([]byte(doc))
	}
	f.Add([]byte("--- # c\n{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[{}]}\n...\na: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		manifests, err := ParseManifest(bytes.NewReader(text), "f")
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Fatalf("error without a place: %v", err)
		}
		for _, m := range manifests {
			if m.Line < 1 || m.Line > bytes.Count(text, []byte("\n"))+1 {
				t.Fatalf("line %d of %d", m.Line, bytes.Count(text, []byte("\n"))+1)
			}
			if _, err := Encode(m.Key, m.Value); err != nil {
				t.Fatalf("%s: %v", m.Key, err)
			}
		}
	})
}
