package etcd_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
)

var kubernetesKinds = []model.Kind{model.KindNamespace, model.KindPod}

// TestRecordedStoreReadsAndWritesBackEqual puts what real Calico wrote into a real etcd, reads it as objects, writes
// each back, and compares the bytes' meaning.
func TestRecordedStoreReadsAndWritesBackEqual(t *testing.T) {
	server := newServer(t)
	raw := server.raw()
	text, err := os.ReadFile("testdata/calico-store.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	values := map[string]string{}
	kinds := map[model.Kind]bool{}
	for i := 0; i+1 < len(lines); i += 2 {
		if _, err := raw.Put(soon(t), lines[i], lines[i+1]); err != nil {
			t.Fatal(err)
		}
		if key, ok, _ := etcd.DecodeKey(lines[i]); ok {
			values[lines[i]] = lines[i+1]
			kinds[key.Kind] = true
		}
	}
	s, err := etcd.Open(etcd.Config{Endpoints: []string{server.endpoint}}, store.Functions(convert.Encode, convert.Decode))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var q store.Query
	for kind := range kinds {
		q.Kinds = append(q.Kinds, kind)
	}
	listed, _, err := s.List(soon(t), q)
	if err != nil || len(listed) != len(values) {
		t.Fatalf("%d objects of %d, %v", len(listed), len(values), err)
	}
	for _, o := range listed {
		if o.Problem != nil {
			t.Errorf("%s: %v", o.Key, o.Problem)
			continue
		}
		if _, err := s.Update(soon(t), o.Key, o.Value, o.Revision); err != nil {
			t.Errorf("write back: %v", err)
			continue
		}
		name, err := etcd.EncodeKey(o.Key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := raw.Get(soon(t), name)
		if err != nil || len(got.Kvs) != 1 {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		if strings.HasSuffix(name, "/bare") {
			continue // written by hand without kind and version, which a writer adds
		}
		if diff := cmp.Diff(parse(t, values[name]), parse(t, string(got.Kvs[0].Value))); diff != "" {
			t.Errorf("%s (-recorded +written):\n%s", name, diff)
		}
	}
}

func parse(t *testing.T, raw string) (value any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewBufferString(raw))
	decoder.UseNumber() // sequence numbers are larger than a float holds
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return value
}
