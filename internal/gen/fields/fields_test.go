package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v3 "github.com/tortie-net/tortie/api/v3"
)

const root = "../../.."

// TestEveryFieldIsAccountedFor fails if a field of api/v3 is in no line of fields.txt, if a line names no field, if a
// named test does not exist, or if the generated files are older than the list.
func TestEveryFieldIsAccountedFor(t *testing.T) {
	fields, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range outputs(fields) {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what fields.txt says: run go run ./internal/gen/fields", name)
		}
	}
}

// TestPathsReachEveryForm looks for one path of each form that a type can take.
func TestPathsReachEveryForm(t *testing.T) {
	for _, want := range []string{
		"Tier.spec.order",                                   // pointer to a scalar
		"NetworkSet.spec.nets[]",                            // list of scalars
		"IPAMBlock.spec.allocations[]",                      // list of pointers
		"IPAMHandle.spec.block{}",                           // map
		"IPAMBlock.spec.attributes[].secondary{}",           // map in a list
		"GlobalNetworkPolicy.spec.ingress[].source.ports[]", // list of values that encode themselves
		"GlobalNetworkPolicy.spec.ingress[].protocol",       // value that encodes itself
		"StagedNetworkPolicy.spec.tier",                     // embedded struct
		"BGPFilter.spec.exportV6[].operations[].setPriority.value",
		"BGPConfiguration.spec.nodeMeshPassword.secretKeyRef.name", // type of another module
		"StagedKubernetesNetworkPolicy.spec.ingress[].from[].ipBlock.except[]",
		"FelixConfiguration.spec.bpfConntrackTimeouts.tcpSynSent",
		"FelixConfiguration.spec.routeRefreshInterval", // duration
		"IPAMBlock.spec.affinityClaimTime",             // time
		"Node.spec.bgp.asNumber",
	} {
		kind, path, _ := strings.Cut(want, ".")
		if !slices.Contains(paths(kindNamed(t, kind)), path) {
			t.Errorf("%s is missing from the paths of %s", path, kind)
		}
	}
}

func TestListIsHeldAgainstTypes(t *testing.T) {
	tier := []v3.Registration{kindNamed(t, "Tier")}
	for _, c := range []struct {
		name, text string
		want       string // part of the error; empty: none
	}{
		{"whole", "Tier.spec.order  works TestA\nTier.spec.defaultAction  not yet\n", ""},
		{"wildcard", "# remark\n\nTier.*  not yet\n", ""},
		{"exact line over wildcard", "Tier.spec.*  not yet\nTier.spec.order works TestA\n", ""},
		{"field missing", "Tier.spec.order  not yet\n", "Tier.spec.defaultAction: in no line"},
		{"no such field", "Tier.*  not yet\nTier.spec.ordre  not yet\n", "fields.txt:2: Tier.spec.ordre: no such field"},
		{"no such kind", "Tier.*  not yet\nTear.*  not yet\n", "fields.txt:2: Tear."},
		{"twice", "Tier.*  not yet\nTier.*  works TestA\n", "fields.txt:2: Tier. is on line 1 too"},
		{"no such test", "Tier.*  works TestNowhere\n", "Tier.spec.order: no test file declares TestNowhere"},
		{"word", "Tier.*  soon\n", `fields.txt:1: "soon": must be`},
		{"star inside", "Tier.*.order  not yet\n", "with * at the end only"},
		{"no path", "Tier  not yet\n", "must be Kind.path"},
		{"not a test", "Tier.*  works Order\n", `fields.txt:1: "works Order": must be`},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries, err := parse(strings.NewReader(c.text))
			var fields map[string][]field
			if err == nil {
				fields, err = resolve(entries, tier)
			}
			if err == nil {
				err = checkTests(fields, map[string]bool{"TestA": true})
			}
			if c.want == "" && err != nil {
				t.Errorf("error %v, want none", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestNarrowerLineHolds(t *testing.T) {
	entries, err := parse(strings.NewReader("Tier.*  not yet\nTier.spec.order  works TestA\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := resolve(entries, []v3.Registration{kindNamed(t, "Tier")})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]field{"Tier": {{path: "spec.defaultAction"}, {path: "spec.order", test: "TestA"}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(field{})); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if text := string(page(got)); !strings.Contains(text, "1 of 2 fields work") || !strings.Contains(text, "| `spec.order` | works: `TestA` |") {
		t.Errorf("page:\n%s", text)
	}
	if text := string(code(got)); strings.Contains(text, "spec.order") || !strings.Contains(text, `"spec.defaultAction"`) {
		t.Errorf("code:\n%s", text)
	}
}

func TestDeclaredTestsAreFound(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a_test.go":         "package a\n\nfunc TestFound(t *testing.T) {}\n// func TestInComment(\n",
		"a.go":              "package a\n\nfunc TestNotInTestFile(t *testing.T) {}\n",
		".hidden/b_test.go": "package b\n\nfunc TestHidden(t *testing.T) {}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := declaredTests(dir)
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Collect(maps.Keys(got)); !slices.Equal(names, []string{"TestFound"}) {
		t.Errorf("declared tests %v, want TestFound only", names)
	}
}

func kindNamed(t *testing.T, name string) v3.Registration {
	t.Helper()
	all := v3.Kinds()
	i := slices.IndexFunc(all, func(k v3.Registration) bool { return k.Kind == name })
	if i < 0 {
		t.Fatalf("no kind %s", name)
	}
	return all[i]
}
