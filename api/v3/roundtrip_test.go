package v3

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// TestStoredObjectsRoundTrip decodes every resource of a real etcd store, with unknown fields an error, and expects the
// stored JSON back: the same fields present, the same absent.
func TestStoredObjectsRoundTrip(t *testing.T) {
	lines := readLines(t, "testdata/etcd.txt")
	if len(lines)%2 != 0 || len(lines) == 0 {
		t.Fatalf("testdata/etcd.txt: %d lines, want pairs of key and value", len(lines))
	}
	seen := map[string]bool{}
	for pair := range slices.Chunk(lines, 2) {
		key, stored := pair[0], pair[1]
		resource, _, _ := strings.Cut(strings.TrimPrefix(key, "/calico/resources/v3/projectcalico.org/"), "/")
		kind := kindOfPlural(t, resource)
		seen[kind.Kind] = true
		t.Run(strings.TrimPrefix(key, "/calico/resources/v3/projectcalico.org/"), func(t *testing.T) {
			checkRoundTrip(t, kind, []byte(stored))
		})
	}
	for _, k := range Kinds() {
		// IPAM keeps these three elsewhere in etcd; testdata/kubernetes.txt holds them.
		if !seen[k.Kind] && !slices.Contains([]string{"IPAMBlock", "IPAMHandle", "BlockAffinity"}, k.Kind) {
			t.Errorf("testdata/etcd.txt holds no %s", k.Kind)
		}
	}
}

// TestKubernetesBodiesRoundTrip does the same with the bodies of requests to a Kubernetes API server.
func TestKubernetesBodiesRoundTrip(t *testing.T) {
	seen := map[string]bool{}
	for _, body := range readLines(t, "testdata/kubernetes.txt") {
		var head metav1.TypeMeta
		if err := json.Unmarshal([]byte(body), &head); err != nil {
			t.Fatal(err)
		}
		seen[head.Kind] = true
		t.Run(head.Kind, func(t *testing.T) { checkRoundTrip(t, kindByName(t, head.Kind), []byte(body)) })
	}
	for _, k := range []string{"IPAMBlock", "IPAMHandle", "BlockAffinity"} {
		if !seen[k] {
			t.Errorf("testdata/kubernetes.txt holds no %s", k)
		}
	}
}

// TestAppliedObjectsRoundTrip reads what users write. Some things come back otherwise than written, as from Calico: a
// duration in Go's own form, label values that YAML 1.1 takes for booleans, the empty status that some kinds always
// show, and the list of domains, a field that the API does not have.
func TestAppliedObjectsRoundTrip(t *testing.T) {
	text, err := os.ReadFile("testdata/objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	normal := strings.NewReplacer(
		`"routeRefreshInterval":"60s"`, `"routeRefreshInterval":"1m0s"`,
		`"reconcilerPeriod":"5m"`, `"reconcilerPeriod":"5m0s"`,
		`"domains":[],`, ``,
		`"labels":{"x":true}`, `"labels":{"x":"true"}`,
	)
	documents := strings.Split(string(text), "\n---\n")
	if len(documents) < len(Kinds())-3 {
		t.Fatalf("testdata/objects.yaml: %d documents", len(documents))
	}
	for _, document := range documents {
		written, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		written = []byte(normal.Replace(string(written)))
		var head metav1.PartialObjectMetadata
		if err := json.Unmarshal(written, &head); err != nil {
			t.Fatal(err)
		}
		kind := kindByName(t, head.Kind)
		t.Run(head.Kind+"/"+head.Name, func(t *testing.T) {
			object := decode(t, kind, written)
			got, want := generic(t, encode(t, object)), generic(t, written)
			got, want = withDefaultsWritten(kind.Kind, got), withDefaultsWritten(kind.Kind, want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("re-encoded (-want +got):\n%s", diff)
			}
		})
	}
}

// withDefaultsWritten removes the parts that a kind always shows, so that a manifest without them compares equal.
func withDefaultsWritten(kind string, object map[string]any) map[string]any {
	switch kind {
	case "Tier", "Node", "KubeControllersConfiguration", "CalicoNodeStatus":
		delete(object, "status")
	case "FelixConfiguration":
		if spec := object["spec"].(map[string]any); spec["bpfLogLevel"] == "" {
			delete(spec, "bpfLogLevel")
		}
	}
	return object
}

// TestUnknownFieldIsNoticed holds up the strictness that the tests above lean on.
func TestUnknownFieldIsNoticed(t *testing.T) {
	d := json.NewDecoder(strings.NewReader(`{"spec":{"order":1,"ordre":2}}`))
	d.DisallowUnknownFields()
	if err := d.Decode(&Tier{}); err == nil || !strings.Contains(err.Error(), "ordre") {
		t.Errorf("decode of an unknown field: error %v, want one that names it", err)
	}
}

func TestScalarForms(t *testing.T) {
	const text = `{"action":"Allow","protocol":17,"notProtocol":"SCTP",` +
		`"source":{"ports":[80,"90:100","named","443"]},"destination":{"notPorts":[0,65535]}}`
	var rule Rule
	if err := json.Unmarshal([]byte(text), &rule); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(generic(t, []byte(text)), generic(t, encode(t, &rule))); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
	if p := rule.Source.Ports[3]; p.StrVal != "443" {
		t.Errorf(`port "443" decoded as %#v, want the string kept`, p)
	}
}

func TestASNumberForms(t *testing.T) {
	for _, c := range []struct {
		in   string
		want ASNumber
		bad  bool
	}{
		{in: `0`}, {in: `64512`, want: 64512}, {in: `4294967295`, want: 4294967295},
		{in: `"64512"`, want: 64512}, {in: `"1.10"`, want: 65546}, {in: `"65535.65535"`, want: 4294967295},
		{in: `-1`, bad: true}, {in: `4294967296`, bad: true}, {in: `"65536.1"`, bad: true}, {in: `"1.65536"`, bad: true},
		{in: `"1.2.3"`, bad: true}, {in: `""`, bad: true}, {in: `"x"`, bad: true}, {in: `true`, bad: true}, {in: `[]`, bad: true},
	} {
		var got ASNumber
		err := json.Unmarshal([]byte(c.in), &got)
		if (err != nil) != c.bad || got != c.want {
			t.Errorf("%s: got %d, error %v; want %d, bad %v", c.in, got, err, c.want, c.bad)
		}
		if err == nil {
			if out := string(encode(t, got)); strings.ContainsAny(out, `".`) {
				t.Errorf("%s encodes to %s, want a plain number", c.in, out)
			}
		}
	}
}

// TestEmptyListIsNotAbsent: an empty list of failsafe ports opens none, an absent one leaves the default.
func TestEmptyListIsNotAbsent(t *testing.T) {
	for _, text := range []string{`{"failsafeInboundHostPorts":[],"bpfLogLevel":""}`, `{"bpfLogLevel":""}`} {
		var spec FelixConfigurationSpec
		if err := json.Unmarshal([]byte(text), &spec); err != nil {
			t.Fatal(err)
		}
		if got := string(encode(t, spec)); got != text {
			t.Errorf("%s re-encoded to %s", text, got)
		}
	}
}

func checkRoundTrip(t *testing.T, kind Registration, stored []byte) {
	t.Helper()
	object := decode(t, kind, stored)
	if diff := cmp.Diff(generic(t, stored), generic(t, encode(t, object))); diff != "" {
		t.Errorf("re-encoded (-stored +got):\n%s", diff)
	}
	copied := object.DeepCopyObject()
	if diff := cmp.Diff(object, copied); diff != "" {
		t.Errorf("deep copy (-want +got):\n%s", diff)
	}
	before := encode(t, object)
	scribble(reflect.ValueOf(copied).Elem())
	if after := encode(t, object); !bytes.Equal(before, after) {
		t.Errorf("a change of the copy changed the original:\n%s\n%s", before, after)
	}
}

// scribble overwrites every scalar, list element and map entry that it can reach.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scribble(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			scribble(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			scribble(v.Index(i))
		}
	case reflect.Map:
		v.Clear()
	default:
		if v.CanSet() {
			v.SetZero()
		}
	}
}

func decode(t *testing.T, kind Registration, text []byte) runtime.Object {
	t.Helper()
	object := kind.Object.DeepCopyObject()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(object); err != nil {
		t.Fatalf("decode %s: %v", kind.Kind, err)
	}
	return object
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// generic decodes without loss: numbers stay as written.
func generic(t *testing.T, text []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func kindByName(t *testing.T, name string) Registration {
	t.Helper()
	return findKind(t, func(k Registration) bool { return k.Kind == name }, name)
}

func kindOfPlural(t *testing.T, plural string) Registration {
	t.Helper()
	return findKind(t, func(k Registration) bool { return k.Plural == plural }, plural)
}

func findKind(t *testing.T, is func(Registration) bool, what string) Registration {
	t.Helper()
	all := Kinds()
	i := slices.IndexFunc(all, is)
	if i < 0 {
		t.Fatalf("no kind for %q", what)
	}
	return all[i]
}
