package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/lab"
	"github.com/tortie-net/tortie/internal/query"
)

const badLab = `
name: %s
subnets: [{name: lan, cidr: 172.30.15.0/24, cidr6: "fd00:30:15::/64"}]
nodes: [{name: %[1]s-1}]
objects:` + meshPools

// earlier is what the command line says of some objects before it looks at their fields.
var earlier = []string{"is read-only: Tortie itself keeps it", "this kind has no namespace"}

// Every wrong object of the converter's own table, at least five of each kind, through the command line: refused, with an
// exit code, what is wrong in the same words, and nothing stored.
func TestBadObjects(t *testing.T) {
	l := startLab(t, fmt.Sprintf(badLab, "badobjects"))
	files, err := filepath.Glob("../internal/convert/testdata/prepare/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	before, err := l.Output(t.Context(), nil, "status", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]int{}
	for _, file := range files {
		datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
			info, ok := convert.Lookup(d.Cmd)
			if !ok || strings.HasPrefix(d.Expected, "{") || strings.HasPrefix(d.Expected, "unknown: ") {
				return d.Expected // what is right is tested there
			}
			if strings.HasSuffix(d.Expected, "metadata.namespace: is missing\n") {
				return d.Expected // the command line has a default
			}
			manifest := manifestText(info, d)
			out, code := applyText(t, l, manifest)
			refused[string(info.Kind)]++
			if code != 1 || !strings.HasPrefix(out, "tortie: ") {
				t.Errorf("%s: exit code %d, want 1, and an error:\n%s\n%s", d.Pos, code, manifest, out)
			}
			flat := strings.Join(strings.Fields(out), " ")
			for _, line := range strings.Split(strings.TrimSpace(d.Expected), "\n") {
				// The field and what is allowed: the message without the place and the name of the object.
				_, says, _ := strings.Cut(line, `": `)
				if says == "" {
					says = line
				}
				says = strings.Join(strings.Fields(strings.ReplaceAll(says, "f.yaml", "standard input")), " ")
				if !strings.Contains(flat, says) && !slices.ContainsFunc(earlier, func(text string) bool { return strings.Contains(flat, text) }) {
					t.Errorf("%s: the error does not say %q:\n%s", d.Pos, says, out)
				}
			}
			return d.Expected
		})
	}
	if out, code := applyText(t, l, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: A_B, namespace: ns}\n"); code != 1 || !strings.Contains(out, "metadata.name: A_B: must") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	refused["ServiceAccount"]++
	for _, info := range convert.Kinds() {
		if n := refused[string(info.Kind)]; n < 5 {
			t.Errorf("%s: %d wrong objects refused, want at least 5", info.Kind, n)
		}
	}
	after, err := l.Output(t.Context(), nil, "status", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := storeRevision(t, before), storeRevision(t, after); a != b {
		t.Errorf("the store moved from revision %d to %d: something was written", a, b)
	}
	total := 0
	for _, n := range refused {
		total += n
	}
	t.Logf("%d wrong objects of %d kinds refused", total, len(refused))
}

func storeRevision(t *testing.T, status string) uint64 {
	t.Helper()
	var s struct {
		Revision uint64 `json:"revision"`
	}
	if err := json.Unmarshal([]byte(status), &s); err != nil || s.Revision == 0 {
		t.Fatal(err, status)
	}
	return s.Revision
}

// manifestText is the manifest of a case: KIND NAME [namespace=NS] [label=VALUE], and the rest as YAML.
func manifestText(info convert.KindInfo, d *datadriven.TestData) string {
	kind := string(info.Kind)
	if info.APIVersion == "networking.k8s.io/v1" {
		kind = "NetworkPolicy"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n", info.APIVersion, kind)
	for _, arg := range d.CmdArgs {
		switch {
		case len(arg.Vals) == 0:
			fmt.Fprintf(&b, "  name: %q\n", arg.Key)
		case arg.Key == "namespace":
			fmt.Fprintf(&b, "  namespace: %q\n", arg.Vals[0])
		default:
			fmt.Fprintf(&b, "  labels: {%q: %q}\n", arg.Key, arg.Vals[0])
		}
	}
	return b.String() + d.Input + "\n"
}

// applyText runs tortie apply on a text and returns what it says on standard error, and its exit code.
func applyText(t *testing.T, l *lab.Lab, text string) (string, int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "tortie"), "apply", "-f", "-")
	cmd.Env = append(os.Environ(), "DATASTORE_TYPE=etcdv3", "ETCD_ENDPOINTS="+storeURL(l))
	cmd.Stdin = strings.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return stderr.String(), 0
	case errors.As(err, &exit):
		return stderr.String(), exit.ExitCode()
	}
	t.Fatal(err)
	return "", 0
}

// storeURL is where a lab's store listens.
func storeURL(l *lab.Lab) string {
	return "unix://" + filepath.Join(filepath.Dir(filepath.Dir(l.RunDir("any"))), "store.sock")
}

// rawStore is a client of the lab's etcd that writes what Tortie would not.
func rawStore(t *testing.T, l *lab.Lab) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{storeURL(l)}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What a CNI runtime may send wrong. Every answer is a CNI error with code and text, and nothing is left behind.
func TestBadCNIInput(t *testing.T) {
	l := startLab(t, fmt.Sprintf(badLab, "badcni"))
	if _, err := l.MakeNamespace("pod"); err != nil {
		t.Fatal(err)
	}
	host, err := l.Namespace("badcni-1")
	if err != nil {
		t.Fatal(err)
	}
	state := func() string {
		journal, err := filepath.Glob(filepath.Join(l.RunDir("badcni-1"), "cni", "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := l.Output(t.Context(), nil, "ipam", "show")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(journal, "\n", inside(t, host, "ip", "-o", "-br", "link"), "\n", blocks)
	}
	before := state()
	netns := filepath.Join(l.RunDir("badcni-1"), "../../net/pod")
	socket := filepath.Join(l.RunDir("badcni-1"), "cni.sock")
	good := map[string]any{"cniVersion": "1.0.0", "name": "net", "type": "tortie-cni", "socket": socket, "ipam": map[string]any{"type": "tortie-ipam"}}
	conf := func(key string, value any) string {
		c := map[string]any{}
		for k, v := range good {
			c[k] = v
		}
		c[key] = value
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	pods := 0
	annotated := func(annotations string) []string { // a pod with an annotation that cannot be used
		pods++
		name := fmt.Sprint("p", pods)
		apply(t, l, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: default, annotations: {%s}}\nspec: {nodeName: badcni-1, containers: [{name: a, image: b}]}\n", name, annotations))
		return []string{"CNI_ARGS=K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + name}
	}
	apply(t, l, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n")
	for _, c := range []struct {
		name  string
		env   []string // over ADD of a good container
		stdin string
		code  int
		text  string
	}{
		{"no JSON", nil, "{", 6, ""},
		{"empty", nil, "", 6, ""},
		{"a list", nil, "[]", 6, ""},
		{"unknown version", nil, conf("cniVersion", "9.9.9"), 1, "9.9.9"},
		{"no network name", nil, conf("name", ""), 7, "name"},
		{"bad network name", nil, conf("name", "a/b"), 7, "a/b"},
		{"unknown command", []string{"CNI_COMMAND=JUMP"}, conf("a", 1), 4, "JUMP"},
		{"no container ID", []string{"CNI_CONTAINERID="}, conf("a", 1), 4, "CNI_CONTAINERID"},
		{"bad container ID", []string{"CNI_CONTAINERID=../x"}, conf("a", 1), 4, "../x"},
		{"long container ID", []string{"CNI_CONTAINERID=" + strings.Repeat("x", 300)}, conf("a", 1), 4, "at most"},
		{"no interface name", []string{"CNI_IFNAME="}, conf("a", 1), 4, "CNI_IFNAME"},
		{"bad interface name", []string{"CNI_IFNAME=an-interface-name-too-long"}, conf("a", 1), 4, "interface"},
		{"no netns", []string{"CNI_NETNS="}, conf("a", 1), 4, "CNI_NETNS"},
		{"netns not there", []string{"CNI_NETNS=/run/nowhere"}, conf("a", 1), 8, "/run/nowhere"},
		{"netns is a file", []string{"CNI_NETNS=/etc/hostname"}, conf("a", 1), 0, "not a namespace"},
		{"CNI_ARGS", []string{"CNI_ARGS=K8S_POD_NAME"}, conf("a", 1), 4, "KEY=VALUE"},
		{"CNI_ARGS by half", []string{"CNI_ARGS=K8S_POD_NAME=a"}, conf("a", 1), 4, "K8S_POD_NAMESPACE"},
		{"mtu", nil, conf("mtu", 7), 7, "68 to 65535"},
		{"queues", nil, conf("num_queues", -1), 7, "0 to 4096"},
		{"time limit", nil, conf("policy_setup_timeout_seconds", 7000), 7, "0 to 600"},
		{"no IPAM", nil, conf("ipam", map[string]any{}), 7, "ipam.type"},
		{"IPAM not there", nil, conf("ipam", map[string]any{"type": "no-such-plugin"}), 0, "no-such-plugin"},
		{"assign_ipv4", nil, conf("ipam", map[string]any{"type": "tortie-ipam", "assign_ipv4": "maybe"}), 7, "maybe"},
		{"no family", nil, conf("ipam", map[string]any{"type": "tortie-ipam", "assign_ipv4": "false"}), 7, "address family"},
		{"no such pool", nil, conf("ipam", map[string]any{"type": "tortie-ipam", "ipv4_pools": []string{"nowhere"}}), 11, "nowhere"},
		{"address in no pool", []string{"CNI_ARGS=IP=192.0.2.1"}, conf("a", 1), 11, "192.0.2.1"},
		{"address unreadable", []string{"CNI_ARGS=IP=here"}, conf("a", 1), 4, "here"},
		{"agent away", nil, conf("socket", "/run/nowhere.sock"), 11, "/run/nowhere.sock"},
		{"annotation ipAddrs", annotated(`cni.projectcalico.org/ipAddrs: "10.98.0.1"`), conf("a", 1), 7, "ipAddrs"},
		{"annotation ipAddrs without address", annotated(`cni.projectcalico.org/ipAddrs: '["here"]'`), conf("a", 1), 7, "here"},
		{"annotation ipAddrs twice", annotated(`cni.projectcalico.org/ipAddrs: '["10.98.0.1","10.98.0.2"]'`), conf("a", 1), 7, "at most one IPv4"},
		{"annotation ipAddrsNoIpam", annotated(`cni.projectcalico.org/ipAddrsNoIpam: '["10.98.0.1"]'`), conf("a", 1), 7, "feature_control"},
		{"annotation ipv4pools", annotated(`cni.projectcalico.org/ipv4pools: pods4`), conf("a", 1), 7, "ipv4pools"},
		{"annotation hwAddr", annotated(`cni.projectcalico.org/hwAddr: "01:02:03:04:05:06"`), conf("a", 1), 7, "multicast"},
		{"annotation ipFamilies", annotated(`cni.projectcalico.org/ipFamilies: '["IPv5"]'`), conf("a", 1), 7, "IPv5"},
		{"huge", nil, conf("note", strings.Repeat("x", 2<<20)), 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(bin, "tortie-cni"))
			cmd.Env = append([]string{
				"CNI_COMMAND=ADD", "CNI_CONTAINERID=container", "CNI_IFNAME=eth0", "CNI_NETNS=" + netns, "CNI_PATH=" + bin,
			}, c.env...)
			cmd.Stdin = strings.NewReader(c.stdin)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			var answer struct {
				Code int `json:"code"`
			}
			if err == nil {
				t.Fatalf("it succeeded:\n%s", stdout.String())
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("it ended with %v, want exit code 1", err)
			}
			text := stdout.String()
			if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil || answer.Code == 0 {
				t.Fatalf("the answer is no CNI error: %v\n%s%s", err, text, stderr.String())
			}
			if c.code != 0 && answer.Code != c.code {
				t.Errorf("code %d, want %d:\n%s", answer.Code, c.code, text)
			}
			if !strings.Contains(text, c.text) {
				t.Errorf("%q is not in:\n%s", c.text, text)
			}
			if len(text) > 4096 {
				t.Errorf("the answer has %d bytes", len(text))
			}
			if after := state(); after != before {
				t.Errorf("something is left behind:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
	if err := l.Ready(t.Context(), "badcni-1"); err != nil {
		t.Errorf("the agent: %v", err)
	}
}

// Files of an agent that were cut off or changed: it starts, says so, keeps what it can, opens nothing.
func TestUnusableFiles(t *testing.T) {
	l := startLab(t, fmt.Sprintf(faultsLab, "files"))
	guarded := func() error {
		return errors.Join(l.Probe(t.Context(), "friend", "server", 4), denied(l.Probe(t.Context(), "stranger", "server", 4)))
	}
	eventually(t, 20*time.Second, "the lab's own expectations", guarded)
	run := l.RunDir("files-2")
	eventually(t, 15*time.Second, "the copy of the intent", func() error { _, err := os.Stat(run + "/intent"); return err })
	time.Sleep(settleTime)
	entry, err := filepath.Glob(filepath.Join(run, "cni", "*server*.json"))
	if err != nil || len(entry) != 1 {
		t.Fatal(entry, err)
	}
	original := map[string][]byte{}
	for _, path := range []string{run + "/intent", entry[0]} {
		if original[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	restart := func(change func(path string, raw []byte) []byte, noStore bool) {
		t.Helper()
		if err := l.KillAgent("files-2"); err != nil {
			t.Fatal(err)
		}
		for path, raw := range original {
			if err := os.WriteFile(path, change(path, bytes.Clone(raw)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if noStore {
			if err := errors.Join(l.KillStore(), l.FlushPolicy("files-2")); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.StartAgent("files-2"); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"truncated":    func(b []byte) []byte { return b[:len(b)/2] },
		"empty":        func([]byte) []byte { return nil },
		"one byte":     func(b []byte) []byte { b[len(b)-10] ^= 1; return b },
		"newer format": func(b []byte) []byte { return bytes.Replace(b, []byte(`"format":1`), []byte(`"format":99`), 1) },
		"other node":   func(b []byte) []byte { return bytes.Replace(b, []byte("files-2"), []byte("files-9"), 1) },
	} {
		t.Run("journal and intent "+name, func(t *testing.T) {
			restart(func(_ string, raw []byte) []byte { return change(raw) }, false)
			eventually(t, 20*time.Second, "the agent", func() error { return l.Ready(t.Context(), "files-2") })
			// The kernel held the policy all the time, and the server's interface is closed rather than open.
			if err := denied(l.Probe(t.Context(), "stranger", "server", 4)); err != nil {
				t.Error(err)
			}
			aside, err := filepath.Glob(filepath.Join(run, "cni", "aside", "*"))
			if err != nil || len(aside) == 0 {
				t.Errorf("the journal entry is not kept aside: %v %v", aside, err)
			}
			s, err := l.Status(t.Context(), "files-2")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(s.Problems, func(p query.Problem) bool { return p.Object == "file" && strings.Contains(p.Reason, "/cni/") }) {
				t.Errorf("status does not name the journal entry: %v", s.Problems)
			}
			// What was right comes back into force as it was.
			restart(func(_ string, raw []byte) []byte { return raw }, false)
			eventually(t, 20*time.Second, "as it was", guarded)
		})
	}
	t.Run("intent alone, with the store away and the kernel empty", func(t *testing.T) {
		restart(func(path string, raw []byte) []byte {
			if strings.HasSuffix(path, "/intent") {
				return raw[:len(raw)-1]
			}
			return raw
		}, true)
		eventually(t, 10*time.Second, "the agent's word", func() error {
			_, err := l.Status(t.Context(), "files-2")
			return err
		})
		if _, err := os.Stat(run + "/intent.unreadable"); err != nil {
			t.Errorf("the intent is not kept aside: %v", err)
		}
		eventually(t, 5*time.Second, "closed interfaces", func() error {
			return errors.Join(denied(l.Probe(t.Context(), "stranger", "server", 4)), denied(l.Probe(t.Context(), "friend", "server", 4)))
		})
		if err := l.StartStore(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "policy from the store", guarded)
	})
}

// Values in the store that nobody can read: the rest goes on, their scope is closed, they are named, and they stay.
func TestUnreadableValues(t *testing.T) {
	l := startLab(t, fmt.Sprintf(ruleLab+ruleWorkloads, "unread"))
	places := map[string]place{}
	for _, name := range []string{"a", "b", "c", "x", "w", "z"} {
		places[name] = placeOf(t, l, name)
	}
	check(t, places, "a x tcp/8080 ok", "a w tcp/8081 ok", "c z tcp/8080 ok")
	raw := rawStore(t, l)
	const root, kubernetes = "/calico/resources/v3/projectcalico.org/", "/tortie/v1/kubernetes/"
	for _, c := range []struct {
		key, value, object string
		closed             []string // while it stands
		open               []string
	}{
		{root + "networkpolicies/near/broken", `{"kind":`, "NetworkPolicy/near/broken", []string{"a x tcp/8080 no", "a w tcp/8081 no"}, []string{"c z tcp/8080 ok"}},
		{root + "globalnetworkpolicies/broken", `{"kind":"GlobalNetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"broken"},"spec":{"selector":"app == 'w'","types":["Ingress"],"ingress":[{"action":"Maybe"}]}}`,
			"GlobalNetworkPolicy/broken", []string{"a w tcp/8081 no"}, []string{"a x tcp/8080 ok", "c z tcp/8080 ok"}},
		{root + "globalnetworkpolicies/broken", "\x00\x01", "GlobalNetworkPolicy/broken", []string{"a x tcp/8080 no", "a w tcp/8081 no", "c z tcp/8080 no"}, nil},
		{root + "tiers/broken", `[]`, "Tier/broken", nil, []string{"a x tcp/8080 ok"}},
		{root + "ippools/broken", `{"spec":{"cidr":"10.`, "IPPool/broken", nil, []string{"a x tcp/8080 ok"}},
		{root + "felixconfigurations/broken", `7`, "FelixConfiguration/broken", nil, []string{"a x tcp/8080 ok"}},
		{root + "nodes/broken", `"node"`, "Node/broken", nil, []string{"a x tcp/8080 ok"}},
		{kubernetes + "pods/near/broken", `{"metadata":7}`, "Pod/near/broken", nil, []string{"a x tcp/8080 ok"}},
		{kubernetes + "networkpolicies/near/broken", `{"spec":{"podSelector":[]}}`, "KubernetesNetworkPolicy/near/broken", []string{"a x tcp/8080 no", "a w tcp/8081 no"}, []string{"c z tcp/8080 ok"}},
		{"/calico/ipam/v2/assignment/ipv4/block/10.98.255.0-26", `{"cidr":`, "Block/10.98.255.0/26", nil, []string{"a x tcp/8080 ok"}},
	} {
		t.Run(c.object+" "+fmt.Sprint(len(c.value)), func(t *testing.T) {
			if _, err := raw.Put(t.Context(), c.key, c.value); err != nil {
				t.Fatal(err)
			}
			eventually(t, 10*time.Second, "the problem in the agent's status", func() error {
				s, err := l.Status(t.Context(), "unread-2")
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(s.Problems, func(p query.Problem) bool { return strings.Contains(p.Object, c.object) && p.Reason != "" }) {
					return fmt.Errorf("problems are %v, want one of %s", s.Problems, c.object)
				}
				return nil
			})
			if out, err := l.Output(t.Context(), nil, "status"); err != nil || !strings.Contains(out, c.object) {
				t.Errorf("tortie status does not name %s: %v\n%s", c.object, err, out)
			}
			time.Sleep(settleTime)
			check(t, places, append(c.closed, c.open...)...)
			got, err := raw.Get(t.Context(), c.key)
			if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != c.value {
				t.Errorf("the value in the store is no longer what it was: %v %v", got, err)
			}
			if err := errors.Join(l.Ready(t.Context(), "unread-1"), l.Ready(t.Context(), "unread-2")); err != nil {
				t.Errorf("agents: %v", err)
			}
			if _, err := raw.Delete(t.Context(), c.key); err != nil {
				t.Fatal(err)
			}
			check(t, places, "a x tcp/8080 ok", "a w tcp/8081 ok", "c z tcp/8080 ok")
			eventually(t, 5*time.Second, "the problem gone", func() error {
				s, err := l.Status(t.Context(), "unread-2")
				if err == nil && len(s.Problems) > 0 {
					err = fmt.Errorf("problems are %v", s.Problems)
				}
				return err
			})
		})
	}
}
