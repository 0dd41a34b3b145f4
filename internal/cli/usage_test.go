package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/mem"
)

// run runs a command line on a store in memory.
func run(s store.Store, stdin string, args ...string) (stdout, stderr string, code int) {
	env := environment{getenv: func(string) string { return "" }, now: time.Now, open: func(context.Context) (store.Store, error) {
		return unclosed{s}, nil
	}}
	return runIn(context.Background(), env, stdin, args...)
}

func runIn(ctx context.Context, env environment, stdin string, args ...string) (stdout, stderr string, code int) {
	root := newRoot(env)
	var out, errs bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	code = Execute(ctx, root)
	return out.String(), errs.String(), code
}

// unclosed keeps a store open after a command.
type unclosed struct{ store.Store }

func (unclosed) Close() error { return nil }

// booted is a store with the objects that every store has.
func booted(t *testing.T) *mem.Store {
	t.Helper()
	s := mem.New(convert.Codec{})
	if err := bootstrap(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBadUsage: every wrong command line is one clear line on standard error, exit code 2, and reaches no store.
func TestBadUsage(t *testing.T) {
	dir := t.TempDir()
	manifest := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(manifest, []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"frobnicate", `"frobnicate" is no command of "tortie"`},
		{"aply -f x", `unknown shorthand flag: 'f' in -f`},
		{"appl", `did you mean apply?`},
		{"ipam shw", `"shw" is no command of "tortie ipam": did you mean show?`},
		{"delete np a -A", `a name alone is not enough with -A`},
		{"get", "say which kind: tiers, networkpolicies"},
		{"get networkpolcies", `kind "networkpolcies": there is no such kind: did you mean networkpolicies`},
		{"get pools,bgppers", `kind "bgppers": there is no such kind: did you mean bgppeers?`},
		{"get zzz", `kind "zzz": there is no such kind: must be tiers, `},
		{"get np.example.com", `kind "np.example.com": there is no such kind`},
		{"get np/a b", `argument "b": must be KIND/NAME like the others`},
		{"get gnp/a/b", `globalnetworkpolicy "a/b": must be a name without namespace: the kind belongs to the cluster`},
		{"get np a/b/c", `networkpolicy "a/b/c": must be NAME or NAMESPACE/NAME`},
		{"get np a -A", `a name alone is not enough with -A: must be NAMESPACE/NAME`},
		{"get np -n a -A", `if any flags in the group [namespace all-namespaces] are set none of the others can be`},
		{"get np -o xml", `-o "xml": must be table, wide, yaml, json, name, jsonpath=TEMPLATE`},
		{"get np -o jsonpath", `-o jsonpath: needs a path: {.metadata.name}`},
		{"get np -o jsonpath={.a", `-o jsonpath "{.a": unclosed action`},
		{"get np -o custom-columns=NAME", `-o custom-columns: "NAME": must be HEADER:PATH`},
		{"get np -o go-template={{", `template: output`},
		{"get np -l a=(", `-l "a=(": must be a selector like app == 'web', or key=value,key,!key`},
		{"get np --nonsense", `unknown flag: --nonsense: "tortie get --help" lists the flags`},
		{"get all x", `all: takes no names`},
		{"get np a -f " + manifest, `give kinds and names, or -f, not both`},
		{"apply", `say what with -f FILE, -f FOLDER or -f - (standard input)`},
		{"apply x -f " + manifest, `unknown command "x" for "tortie apply": usage: tortie apply`},
		{"apply -f " + manifest + " --dry-run=maybe", `--dry-run "maybe": must be none, client or server`},
		{"delete np", `networkpolicies: say which by name, -l SELECTOR or --all`},
		{"patch np", `say what to change with -p PATCH or --patch-file FILE`},
		{"patch np -p {}", `networkpolicies: say which by name`},
		{"patch np a -p [", `patch: must be JSON or YAML`},
		{"patch np a -p 7", `patch: must be an object like`},
		{"patch np a -p {} --type yaml", `--type "yaml": must be strategic, merge or json`},
		{"patch np a -p {} --type json", `patch: must be a list of operations`},
		{"label np a", `say which labels: KEY=VALUE sets one, KEY- removes one`},
		{"label np a b=c d", `"d": must be KEY=VALUE or KEY-, as the argument before it`},
		{"label np a b=c b-", `label "b": is both set and removed`},
		{"label np b=c", `networkpolicies: say which by name, -l SELECTOR or --all`},
		{"label np a --remove", `--remove: say which key`},
		{"explain a", `accepts 2 arg(s), received 1: usage: tortie explain SRC DST`},
		{"explain a b:0", `"b:0": port 0: must be 1 to 65535, or the name of a port of the destination`},
		{"explain a b:70000", `port 70000: must be 1 to 65535`},
		{"explain a b:", `"b:": must be DST:PORT or DST:PORT/PROTO`},
		{"explain a b:80/XYZ", `protocol "XYZ": must be TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite or 1 to 255`},
		{"explain a b:80/ICMP", `"b:80/ICMP": ICMP has no ports`},
		{"explain a b -o yaml", `-o "yaml": must be json, or left out`},
		{"ipam show --ip x", `--ip "x": must be an address`},
		{"ipam show --ip 1.2.3.4 --show-blocks", `none of the others can be`},
		{"ipam release", `say what to release: --ip ADDRESS or --from-report FILE`},
		{"ipam release --ip 1.2.3", `--ip "1.2.3": must be an address`},
		{"ipam configure", `say what to change`},
		{"ipam configure --max-blocks-per-host -1", `must be 0 (the default) or more`},
		{"version -o yaml", `-o "yaml": must be json`},
		{"status x", `unknown command "x" for "tortie status"`},
	} {
		env := environment{getenv: os.Getenv, now: time.Now, open: func(context.Context) (store.Store, error) {
			t.Errorf("tortie %s: asks a store", test.args)
			return mem.New(convert.Codec{}), nil
		}}
		stdout, stderr, code := runIn(context.Background(), env, "", strings.Fields(test.args)...)
		if code != exitUsage || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "tortie: ") || stdout != "" {
			t.Errorf("tortie %s: exit code %d, stdout %q, stderr %q, want one line with %q", test.args, code, stdout, stderr, test.want)
		}
	}
}

// TestBadInput: manifests that are wrong are refused with place and reason; the right ones among them are applied.
func TestBadInput(t *testing.T) {
	const good = "\n---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: good}\n"
	for _, test := range []struct{ manifest, want string }{
		{"apiVersion: v1\nkind: Namespac\nmetadata: {name: a}", `standard input:1: kind "Namespac"`},
		{"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: a}\nspec: {cidr: 10.0.0.0/8, blockSize: 33}", `standard input:1: ippool "a": spec.blockSize: 33: must be`},
		{"apiVersion: projectcalico.org/v3\nkind: IPPool\nspec: {}", `standard input:1: ippool: metadata.name is missing`},
		{"a: b: c", `standard input:1: yaml: `},
		{"apiVersion: projectcalico.org/v3\nkind: ClusterInformation\nmetadata: {name: default}", `clusterinformation "default": is read-only`},
		{"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: a}\nspec: {tier: nope}", `spec.tier: nope: there is no such tier`},
		{"apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: a}\nspec: {peerIP: 192.0.2.1, asNumber: 1, filters: [f]}", `spec.filters[0]: f: there is no such bgpfilter`},
	} {
		s := booted(t)
		stdout, stderr, code := run(s, test.manifest+good, "apply", "-f", "-")
		if code != exitFailed || !strings.Contains(stderr, "tortie: ") || !strings.Contains(stderr, test.want) {
			t.Errorf("%s\nexit code %d, stderr %q, want %q", test.manifest, code, stderr, test.want)
		}
		if !strings.Contains(stdout, "GlobalNetworkSet/good created") {
			t.Errorf("%s\nthe right object beside it is not applied: %q", test.manifest, stdout)
		}
	}
	s := booted(t)
	_, stderr, code := run(s, "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: a}\nspec: {netz: [1]}\n", "apply", "-f", "-")
	if code != exitOK || !strings.Contains(stderr, `warning: standard input:1: globalnetworkset "a": spec.netz: there is no such field: left out`) {
		t.Errorf("unknown field: exit code %d, %q", code, stderr)
	}
	if _, stderr, code := run(s, good, "apply", "-f", "-", "-f", filepath.Join(t.TempDir(), "nothing.yaml")); code != exitFailed || !strings.Contains(stderr, "no such file") {
		t.Errorf("missing file: exit code %d, %q", code, stderr)
	}
	if _, stderr, code := run(s, "# only a comment\n", "apply", "-f", "-"); code != exitFailed || !strings.Contains(stderr, "no objects in it") {
		t.Errorf("empty file: exit code %d, %q", code, stderr)
	}
	if stdout, stderr, code := run(s, "# only a comment\n", "apply", "-f", "-", "--skip-empty"); code != exitOK || stdout+stderr != "" {
		t.Errorf("--skip-empty: exit code %d, %q", code, stderr)
	}
	np := "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: a, namespace: b}\n"
	if _, stderr, code := run(s, np, "apply", "-f", "-", "-n", "c"); code != exitFailed || !strings.Contains(stderr, `networkpolicy "b/a": is in another namespace than -n c`) {
		t.Errorf("other namespace: exit code %d, %q", code, stderr)
	}
}

// TestStoreAway: exit code 4 and what did not answer.
func TestStoreAway(t *testing.T) {
	t.Setenv("DATASTORE_TYPE", "etcdv3")
	t.Setenv("ETCD_ENDPOINTS", "http://"+free(t).String())
	env := environment{getenv: os.Getenv, open: openStore, now: time.Now}
	_, stderr, code := runIn(context.Background(), env, "", "get", "nodes")
	if code != exitUnavailable || !strings.Contains(stderr, os.Getenv("ETCD_ENDPOINTS")) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	t.Setenv("DATASTORE_TYPE", "kubernetes")
	if _, stderr, code := runIn(context.Background(), env, "", "get", "nodes"); code != exitFailed || !strings.Contains(stderr, "DATASTORE_TYPE kubernetes: this version reads and writes etcd only") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// TestConcurrentWriters: a patch that somebody else's write undercuts is tried again on the new value.
func TestConcurrentWriters(t *testing.T) {
	s := booted(t)
	if _, stderr, code := run(s, "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a}\nspec: {order: 1}\n", "create", "-f", "-"); code != exitOK {
		t.Fatal(stderr)
	}
	racing := &racer{Store: s, before: func() {
		if _, stderr, code := run(s, "", "label", "tier", "a", "by=other"); code != exitOK {
			t.Error(stderr)
		}
	}}
	if stdout, stderr, code := run(racing, "", "patch", "tier", "a", "-p", "spec: {order: 2}"); code != exitOK || stdout != "Tier/a patched\n" {
		t.Errorf("exit code %d, %q %q", code, stdout, stderr)
	}
	stdout, _, _ := run(s, "", "get", "tier", "a", "-o", "jsonpath={.spec.order} {.metadata.labels.by}")
	if stdout != "2 other\n" {
		t.Errorf("after both: %q", stdout)
	}
}

// racer lets somebody else write just before the first update.
type racer struct {
	store.Store
	before func()
}

func (r *racer) Update(ctx context.Context, key model.Key, value any, at store.Revision) (store.Object, error) {
	if before := r.before; before != nil {
		r.before = nil
		before()
	}
	return r.Store.Update(ctx, key, value, at)
}

// TestWatch: every change after the first list is shown, and the end is quiet.
func TestWatch(t *testing.T) {
	s := booted(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	lines := make(chan string, 16)
	env := environment{getenv: os.Getenv, now: time.Now, open: func(context.Context) (store.Store, error) { return unclosed{s}, nil }}
	root := newRoot(env)
	root.SetOut(lineWriter(lines))
	root.SetArgs([]string{"get", "tiers", "-w", "-o", "name"})
	done := make(chan int)
	go func() { done <- Execute(ctx, root) }()
	next := func(want string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%q did not come", want)
		}
	}
	for _, name := range []string{"default", "kube-admin", "kube-baseline"} {
		next("tier.projectcalico.org/" + name)
	}
	time.Sleep(50 * time.Millisecond) // the watch begins at the list's revision: nothing is lost either way
	if _, stderr, code := run(s, "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: new}\n", "apply", "-f", "-"); code != exitOK {
		t.Fatal(stderr)
	}
	next("tier.projectcalico.org/new")
	if _, stderr, code := run(s, "", "delete", "tier", "new"); code != exitOK {
		t.Fatal(stderr)
	}
	next("Tier/new deleted")
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// lineWriter passes lines on.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		w <- strings.TrimSuffix(line, "\n")
	}
	return len(p), nil
}

// TestCompletion: kinds, then names.
func TestCompletion(t *testing.T) {
	s := booted(t)
	for _, test := range []struct{ args, want string }{
		{"get ", "networkpolicies\tnp, policy; projectcalico.org/v3"},
		{"delete tier ", "kube-admin"},
		{"patch tier/", "tier/kube-baseline"},
		{"get np -o ", "custom-columns="},
		{"ipam ", "release"},
	} {
		fields := strings.Split(test.args, " ")
		stdout, _, code := run(s, "", append([]string{"__complete"}, fields...)...)
		if code != exitOK || !strings.Contains("\n"+stdout, "\n"+test.want) {
			t.Errorf("%q: %q, want %q", test.args, stdout, test.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if stdout, _, code := run(s, "", "completion", shell); code != exitOK || !strings.Contains(stdout, "tortie") {
			t.Errorf("completion %s: exit code %d", shell, code)
		}
	}
}

// TestMerge holds merge to the examples of RFC 7396 appendix A.
func TestMerge(t *testing.T) {
	for _, test := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`}, {`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`}, {`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`}, {`{"a":"foo"}`, `null`, `null`}, {`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`}, {`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		if got := merge(value(t, test[0]), value(t, test[1])); !reflect.DeepEqual(got, value(t, test[2])) {
			t.Errorf("%s with %s: %v, want %s", test[0], test[1], got, test[2])
		}
	}
}

// TestJSONPatch holds applyJSONPatch to RFC 6902: its appendix A, and what must be refused.
func TestJSONPatch(t *testing.T) {
	for _, test := range []struct{ doc, patch, want string }{
		{`{"foo":"bar"}`, `[{"op":"add","path":"/baz","value":"qux"}]`, `{"baz":"qux","foo":"bar"}`},
		{`{"foo":["bar","baz"]}`, `[{"op":"add","path":"/foo/1","value":"qux"}]`, `{"foo":["bar","qux","baz"]}`},
		{`{"baz":"qux","foo":"bar"}`, `[{"op":"remove","path":"/baz"}]`, `{"foo":"bar"}`},
		{`{"foo":["bar","qux","baz"]}`, `[{"op":"remove","path":"/foo/1"}]`, `{"foo":["bar","baz"]}`},
		{`{"baz":"qux","foo":"bar"}`, `[{"op":"replace","path":"/baz","value":"boo"}]`, `{"baz":"boo","foo":"bar"}`},
		{`{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}`, `[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]`,
			`{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}`},
		{`{"foo":["all","grass","cows","eat"]}`, `[{"op":"move","from":"/foo/1","path":"/foo/3"}]`, `{"foo":["all","cows","eat","grass"]}`},
		{`{"baz":"qux","foo":["a",2,"c"]}`, `[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]`, `{"baz":"qux","foo":["a",2,"c"]}`},
		{`{"foo":["bar"]}`, `[{"op":"add","path":"/foo/-","value":["abc","def"]}]`, `{"foo":["bar",["abc","def"]]}`},
		{`{"/":9,"~1":10}`, `[{"op":"test","path":"/~01","value":10}]`, `{"/":9,"~1":10}`},
		{`{"a":{"b":1}}`, `[{"op":"copy","from":"/a","path":"/c"},{"op":"replace","path":"/c/b","value":2}]`, `{"a":{"b":1},"c":{"b":2}}`},
		{`{"baz":"qux"}`, `[{"op":"test","path":"/baz","value":"bar"}]`, `patch operation 0 (test /baz): is not "bar"`},
		{`{"foo":"bar"}`, `[{"op":"add","path":"/baz/bat","value":"qux"}]`, `there is nothing at this path`},
		{`{"foo":[1]}`, `[{"op":"add","path":"/foo/2","value":2}]`, `index "2": must be 0 to 1`},
		{`{"foo":[1]}`, `[{"op":"replace","path":"/foo/01","value":2}]`, `index "01": must be 0 to 0`},
		{`{"foo":1}`, `[{"op":"frob","path":"/foo"}]`, `must be add, remove, replace, move, copy or test`},
		{`{"foo":1}`, `[{"op":"add","path":"foo","value":1}]`, `must begin with /`},
		{`{"foo":1}`, `[{"op":"add","path":"/foo"}]`, `value is missing`},
		{`{"foo":{"a":1}}`, `[{"op":"move","from":"/foo","path":"/foo/a"}]`, `must not be inside of from`},
		{`{"foo":1}`, `[{"op":"remove","path":""}]`, `must not be the whole object`},
	} {
		var operations []jsonOperation
		if err := json.Unmarshal([]byte(test.patch), &operations); err != nil {
			t.Fatal(err)
		}
		got, err := applyJSONPatch(value(t, test.doc), operations)
		switch {
		case err != nil && (test.want[0] == '{' || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %s", test.patch, err, test.want)
		case err == nil && (test.want[0] != '{' || !reflect.DeepEqual(got, value(t, test.want))):
			t.Errorf("%s: %v, want %s", test.patch, got, test.want)
		}
	}
}

func value(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	v, err := clone(v)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestExitCode: the gravest of several errors counts, not found only where nothing else went wrong.
func TestExitCode(t *testing.T) {
	missing, away, other := fmt.Errorf("x: %w", store.ErrNotFound), fmt.Errorf("y: %w", store.ErrUnavailable), errors.New("z")
	for _, test := range []struct {
		err  error
		want int
	}{
		{missing, exitNotFound}, {errors.Join(missing, missing), exitNotFound}, {errors.Join(missing, other), exitFailed},
		{errors.Join(other, missing), exitFailed}, {errors.Join(other, away, missing), exitUnavailable}, {usagef("u"), exitUsage},
		{fmt.Errorf("both: %w and %w", other, missing), exitNotFound}, {deniedError{}, exitDenied}, {noAgent("a"), exitUnavailable},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%v: %d, want %d", test.err, got, test.want)
		}
	}
}
