package tortie

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tortie-net/tortie/"

// allowed is the import table of docs/DESIGN.md: which of Tortie's packages a package may import directly. A path that
// ends in "/" stands for everything below it. A package not listed may not exist.
var allowed = map[string][]string{
	"api/v3":                    {},
	"internal/selector":         {},
	"internal/reconcile":        {},
	"internal/model":            {"internal/selector"},
	"internal/convert":          {"api/v3", "internal/model", "internal/selector"},
	"internal/config":           {"internal/model"},
	"internal/policy":           {"internal/model", "internal/selector"},
	"internal/intent":           {"internal/model"},
	"internal/intent/localize":  {"internal/intent", "internal/model"},
	"internal/intent/trace":     {"internal/intent", "internal/model"},
	"internal/calc/":            {"internal/calc/", "internal/model", "internal/selector", "internal/intent", "internal/config"},
	"internal/store/":           {"internal/store/", "internal/model", "internal/convert"},
	"internal/feed":             {"internal/model", "internal/store"},
	"internal/kernel/":          {"internal/kernel/", "internal/model"},
	"internal/plane/":           {"internal/plane", "internal/intent", "internal/reconcile", "internal/kernel/", "internal/model"},
	"internal/plane/planetest/": {"internal/plane/planetest/", "internal/plane", "internal/intent", "internal/kernel/", "internal/model", "internal/policy", "internal/calc", "internal/selector", "internal/intent/localize", "internal/intent/trace"},
	"internal/bgp/":             {"internal/bgp", "internal/intent", "internal/model"},
	"internal/ipam":             {"internal/model", "internal/store"},
	"internal/cni":              {"internal/intent", "internal/model", "internal/kernel/"},
	"internal/node":             {"internal/model", "internal/store", "internal/kernel/", "internal/ipam"},
	"internal/obs":              {},
	"internal/query":            {"internal/intent", "internal/intent/trace", "internal/model"},
	"internal/cli":              {"api/v3", "internal/convert", "internal/store/", "internal/calc", "internal/policy", "internal/intent", "internal/intent/trace", "internal/query", "internal/ipam", "internal/model", "internal/selector", "internal/obs"},
	"internal/lab/":             {"internal/lab/", "internal/kernel/", "internal/cli", "internal/query", "examples"},
	"examples":                  {},
	"internal/agent":            {"*"},
	"internal/gen/":             {"*"},
	"cmd/tortie":                {"internal/agent", "internal/cli", "internal/lab", "internal/obs"},
	"cmd/tortie-cni":            {},
	"test/":                     {"*"},
}

// notAgent is what the composition root of a node leaves to the other commands.
var notAgent = []string{"internal/cli", "internal/lab", "internal/hub", "internal/controllers"}

// forbidden is what a package must not even reach through others.
var forbidden = map[string][]string{
	"internal/model":    {"k8s.io/", "github.com/vishvananda/", "google.golang.org/grpc", "net/http"},
	"internal/selector": {"k8s.io/", "net/http"},
	"internal/convert":  {"google.golang.org/grpc", "github.com/vishvananda/", "k8s.io/client-go"},
	"internal/config":   {"k8s.io/", "os/exec", "net/http"},
	"internal/intent":   {"k8s.io/", "google.golang.org/grpc", "github.com/vishvananda/"},
	"internal/policy":   {"k8s.io/", "google.golang.org/grpc", "github.com/vishvananda/", module + "internal/intent", module + "internal/calc"},
	"internal/calc":     {"k8s.io/", "google.golang.org/grpc", "github.com/vishvananda/", "net/http", module + "internal/store"},
	"cmd/tortie-cni":    {"k8s.io/", "google.golang.org/grpc", module + "internal/"},
}

// calc may use no clock, lock, operating system, network or log of the standard library.
var calcForbidden = []string{"time", "sync", "os", "net", "log", "log/slog"}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

// rule finds the entry of a package: its own, else the longest folder's.
func rule(path string) ([]string, bool) {
	if r, ok := allowed[path]; ok {
		return r, true
	}
	best, found := "", false
	for k := range allowed {
		if strings.HasSuffix(k, "/") && strings.HasPrefix(path+"/", k) && len(k) > len(best) {
			best, found = k, true
		}
	}
	return allowed[best], found
}

func permits(allowed []string, path string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return a == "*" || a == path || strings.HasSuffix(a, "/") && strings.HasPrefix(path+"/", a)
	})
}

func TestImports(t *testing.T) {
	seen := 0
	for _, p := range list(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if path == strings.TrimSuffix(module, "/") {
			continue
		}
		seen++
		may, ok := rule(path)
		if !ok {
			t.Errorf("%s: not in the import table", path)
			continue
		}
		for _, imp := range p.Imports {
			own, isOwn := strings.CutPrefix(imp, module)
			switch {
			case isOwn && !permits(may, own):
				t.Errorf("%s imports %s: allowed are %v", path, own, may)
			case isOwn && path == "internal/agent" && slices.Contains(notAgent, own):
				t.Errorf("%s imports %s", path, own)
			case (path == "internal/calc" || strings.HasPrefix(path, "internal/calc/")) && slices.Contains(calcForbidden, imp):
				t.Errorf("%s imports %s: calc has no clock, lock, I/O or log", path, imp)
			case !strings.HasPrefix(path, "internal/kernel") && path != "internal/bgp/gobgp" && kernelLibrary(imp):
				t.Errorf("%s imports %s: only kernel may", path, imp)
			}
		}
		for _, bad := range forbidden[path] {
			for _, dep := range p.Deps {
				if strings.HasPrefix(dep, bad) {
					t.Errorf("%s reaches %s", path, dep)
				}
			}
		}
	}
	if seen < 10 {
		t.Fatalf("only %d packages listed", seen)
	}
}

func kernelLibrary(imp string) bool {
	for _, lib := range []string{"github.com/vishvananda/", "github.com/google/nftables", "github.com/mdlayher/netlink", "github.com/cilium/ebpf"} {
		if strings.HasPrefix(imp, lib) {
			return true
		}
	}
	return false
}
