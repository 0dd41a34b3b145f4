package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/libcni"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/tortie-net/tortie/internal/lab"
	"github.com/tortie-net/tortie/internal/model"
)

// policyCase is objects and what then passes.
type policyCase struct {
	name    string
	objects string
	probes  []string
}

// policy is a GlobalNetworkPolicy in short: name, spec as flow YAML.
func gnp(name, spec string) string {
	return fmt.Sprintf("---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: %s}\nspec: {%s}\n", name, spec)
}

func np(name, namespace, spec string) string {
	return fmt.Sprintf("---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec: {%s}\n", name, namespace, spec)
}

func object(kind, name, spec string) string {
	return fmt.Sprintf("---\napiVersion: projectcalico.org/v3\nkind: %s\nmetadata: {name: %s}\nspec: {%s}\n", kind, name, spec)
}

// What a policy says of itself: subjects, directions, order, tier, actions.
var policyCases = []policyCase{
	// R27, R28.
	{"selector", gnp("p", "selector: app == 'x', types: [Ingress]"), []string{"a x tcp/8080 no", "a z tcp/8080 no", "a w tcp/8081 ok"}},
	{"selector of a namespaced policy", np("p", "near", "selector: app == 'x', types: [Ingress]"), []string{"a x tcp/8080 no", "a z tcp/8080 ok", "a w tcp/8081 ok"}},
	{"empty selector", np("p", "near", "types: [Ingress]"), []string{"a x tcp/8080 no", "a w tcp/8081 no", "a z tcp/8080 ok"}},
	// R62.
	{"namespaceSelector", gnp("p", "namespaceSelector: place == 'far', types: [Ingress]"), []string{"a x tcp/8080 ok", "a z tcp/8080 no"}},
	{"namespaceSelector and selector", gnp("p", "namespaceSelector: place == 'near', selector: role == 'server' && app == 'x', types: [Ingress]"), []string{"a x tcp/8080 no", "a w tcp/8081 ok", "a z tcp/8080 ok"}},
	{"serviceAccountSelector", gnp("p", "serviceAccountSelector: rank == 'high', selector: role == 'server', types: [Ingress]"), []string{"a x tcp/8080 no", "a z tcp/8080 ok", "a w tcp/8081 ok"}},
	{"serviceAccountSelector of a namespaced policy", np("p", "far", "serviceAccountSelector: rank == 'low', types: [Ingress]"), []string{"a x tcp/8080 ok", "a z tcp/8080 no"}},
	// R22, R26.
	{"types Ingress", gnp("p", "selector: app == 'a', types: [Ingress]"), []string{"a x tcp/8080 ok", "x a icmp no"}},
	{"types Egress", gnp("p", "selector: app == 'a', types: [Egress]"), []string{"a x tcp/8080 no", "x a icmp ok"}},
	{"types left out", gnp("p", "selector: app == 'a', egress: [{action: Deny}]"), []string{"a x tcp/8080 no", "x a icmp ok"}},
	{"types left out, namespaced", np("p", "near", "selector: app == 'a', ingress: [{action: Deny}], egress: [{action: Deny}]"), []string{"a x tcp/8080 no", "x a icmp no"}},
	// R21.
	{"order", gnp("early", "order: 5, selector: app == 'x', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'a'}}]") +
		gnp("late", "order: 6, selector: app == 'x', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'a'}}, {action: Allow}]"),
		[]string{"a x tcp/8080 ok", "b x tcp/8080 ok"}},
	{"order turned round", gnp("early", "order: 7, selector: app == 'x', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'a'}}]") +
		gnp("late", "order: 6.5, selector: app == 'x', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'a'}}, {action: Allow}]"),
		[]string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
	{"order of namespaced ones", np("early", "near", "order: 1, selector: app == 'x', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'a'}}]") +
		np("late", "near", "selector: app == 'x', types: [Ingress], ingress: [{action: Allow}]"),
		[]string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
	// R20, R24, R25: tiers by order; what no rule of a tier decides is its default action's.
	{"tier by order", object("Tier", "first", "order: 10") + object("Tier", "second", "order: 20") +
		gnp("first.p", "tier: first, selector: app == 'x', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'a'}}, {action: Pass}]") +
		gnp("second.p", "tier: second, selector: app == 'x', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'a'}}, {action: Allow}]"),
		[]string{"a x tcp/8080 ok", "b x tcp/8080 ok"}},
	{"tier by order, turned round", object("Tier", "first", "order: 30") + object("Tier", "second", "order: 20") +
		gnp("first.p", "tier: first, selector: app == 'x', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'a'}}, {action: Pass}]") +
		gnp("second.p", "tier: second, selector: app == 'x', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'a'}}, {action: Allow}]"),
		[]string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
	{"tier of a namespaced policy", object("Tier", "first", "order: 10") +
		np("first.p", "near", "tier: first, selector: app == 'x', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'a'}}, {action: Pass}]") +
		np("p", "near", "selector: app == 'x', types: [Ingress], ingress: [{action: Allow}]"),
		[]string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
	{"tier ends with Deny", object("Tier", "first", "order: 10, defaultAction: Deny") +
		gnp("first.p", "tier: first, selector: app == 'x', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'a'}}]"),
		[]string{"a x tcp/8080 ok", "b x tcp/8080 no"}},
	{"tier ends with Pass", object("Tier", "first", "order: 10, defaultAction: Pass") +
		gnp("first.p", "tier: first, selector: app == 'x', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'a'}}]"),
		[]string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
	// R23: actions.
	{"action Deny", gnp("p", "selector: app == 'x', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'a'}}, {action: Allow}]"), []string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
	{"action Pass", gnp("p", "order: 1, selector: app == 'x', types: [Ingress], ingress: [{action: Pass, source: {selector: app == 'a'}}]") +
		gnp("q", "order: 2, selector: app == 'x', types: [Ingress], ingress: [{action: Deny}]"), []string{"a x tcp/8080 ok", "b x tcp/8080 no"}},
	{"action Log goes on", gnp("p", "selector: app == 'x', types: [Ingress], ingress: [{action: Log}, {action: Allow, source: {selector: app == 'a'}}]"), []string{"a x tcp/8080 ok", "b x tcp/8080 no"}},
	{"actions of egress", gnp("p", "order: 1, selector: role == 'client', types: [Egress], egress: [{action: Log}, {action: Pass, destination: {selector: app == 'x'}}]") +
		gnp("q", "order: 2, selector: role == 'client', types: [Egress], egress: [{action: Deny, destination: {selector: app == 'w'}}, {action: Allow}]"), []string{"a x tcp/8080 ok", "a w tcp/8081 no"}},
	// Sets (R66, R73).
	{"global network set", "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: s, labels: {set: given}}\nspec: {nets: [\"${a4}/32\", \"${a6}\", 192.0.2.0/24]}\n" +
		gnp("p", "selector: app == 'x', types: [Ingress], ingress: [{action: Allow, source: {selector: set == 'given'}}]"), []string{"a x tcp/8080 ok", "b x tcp/8080 no"}},
	{"network set", "---\napiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: s, namespace: near, labels: {set: given}}\nspec: {nets: [\"${b4}/32\", \"${b6}/128\"]}\n" +
		np("p", "near", "selector: app == 'x', types: [Ingress], ingress: [{action: Allow, source: {selector: set == 'given'}}]"), []string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
	{"network set by its namespace", "---\napiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: s, namespace: far, labels: {set: given}}\nspec: {nets: [\"${b4}/32\", \"${b6}/128\"]}\n" +
		gnp("p", "selector: app == 'x', types: [Ingress], ingress: [{action: Allow, source: {namespaceSelector: place == 'far', selector: set == 'given'}}]"), []string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
}

// Every field of policies, tiers and sets beside their rules.
func TestPolicyFields(t *testing.T) {
	l := startLab(t, fmt.Sprintf(ruleLab+ruleWorkloads, "policies"))
	places := map[string]place{}
	for _, name := range []string{"a", "b", "c", "x", "w", "z"} {
		places[name] = placeOf(t, l, name)
	}
	apply(t, l, ruleNamespaces)
	check(t, places, "a x tcp/8080 ok", "a w tcp/8081 ok", "c z tcp/8080 ok", "x a icmp ok")
	for _, c := range policyCases {
		t.Run(c.name, func(t *testing.T) {
			docs := filled(c.objects, places)
			apply(t, l, docs)
			time.Sleep(settleTime)
			check(t, places, c.probes...)
			remove(t, l, reversed(docs)) // a tier goes after its policies
			check(t, places, "a x tcp/8080 ok", "x a icmp ok")
		})
	}
}

func reversed(docs string) string {
	parts := strings.Split(docs, "---\n")
	var out []string
	for i := len(parts) - 1; i > 0; i-- {
		out = append(out, parts[i])
	}
	return strings.Join(out, "---\n")
}

// network is a CNI network of a node of a lab, used as cnitool does: without Kubernetes.
type network struct {
	t      *testing.T
	lab    *lab.Lab
	node   string
	cni    *libcni.CNIConfig
	config *libcni.PluginConfig
	args   [][2]string // CNI_ARGS
}

func newNetwork(t *testing.T, l *lab.Lab, node, name, version, ipam string, paths ...string) *network {
	t.Helper()
	if ipam == "" {
		ipam = `{"type": "tortie-ipam", "assign_ipv4": "true", "assign_ipv6": "true"}`
	}
	raw := fmt.Sprintf(`{"cniVersion": %q, "name": %q, "type": "tortie-cni", "socket": %q, "ipam": %s}`,
		version, name, filepath.Join(l.RunDir(node), "cni.sock"), ipam)
	config, err := libcni.NetworkPluginConfFromBytes([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return &network{t, l, node, libcni.NewCNIConfigWithCacheDir(append(paths, bin), t.TempDir(), nil), config, nil}
}

// runtime is the runtime's word on a container; its namespace has the container's name.
func (n *network) runtime(container string) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: container, IfName: "eth0", NetNS: filepath.Join(n.lab.RunDir(n.node), "../../net", container),
		Args: n.args,
	}
}

// add makes a container's namespace and runs ADD.
func (n *network) add(container string) place {
	n.t.Helper()
	p, err := n.tryAdd(container)
	if err != nil {
		n.t.Fatalf("ADD %s: %v", container, err)
	}
	return p
}

func (n *network) tryAdd(container string) (place, error) {
	p := place{name: container, addr: map[int]netip.Addr{}}
	var err error
	if p.ns, err = n.lab.Namespace(container); err != nil {
		if p.ns, err = n.lab.MakeNamespace(container); err != nil {
			return p, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	any, err := n.cni.AddNetwork(ctx, n.config, n.runtime(container))
	if err != nil {
		return p, err
	}
	result, err := types100.NewResultFromResult(any)
	if err != nil {
		return p, err
	}
	for _, ip := range result.IPs {
		a, _ := netip.AddrFromSlice(ip.Address.IP)
		family := 6
		if a.Unmap().Is4() {
			family = 4
		}
		p.addr[family] = a.Unmap()
	}
	return p, nil
}

// A profile decides for workloads without policy (R53 to R55): every field of its rules, in both directions. The workloads
// come by CNI without Kubernetes; what a user may set of a WorkloadEndpoint is set with the command line.
func TestProfileFields(t *testing.T) {
	l := startLab(t, fmt.Sprintf(ruleLab, "profiles"))
	apply(t, l, ruleNamespaces)
	n1 := newNetwork(t, l, "profiles-1", "open", "1.1.0", "")
	n2 := newNetwork(t, l, "profiles-2", "open", "1.1.0", "")
	places := map[string]place{
		"a": n1.add("a"), "b": n1.add("b"), "c": n1.add("c"),
		"x": n2.add("x"), "w": n1.add("w"), "z": n2.add("z"),
	}
	for _, name := range []string{"x", "z", "w"} {
		port := map[string]int{"x": 8080, "z": 8080, "w": 8081}[name]
		listen(t, places[name].ns, port)
		listen(t, places[name].ns, 9090)
		echo(t, places[name].ns, 5353)
	}

	// The network's name names the profile. Made with the first workload, it lets those of the network in; once it is gone
	// its endpoints are closed (R54).
	places["o"] = newNetwork(t, l, "profiles-1", "foreign", "1.1.0", "").add("o")
	check(t, places, "a x tcp/8080 ok", "b w tcp/8081 ok", "o x tcp/8080 no")
	if out, err := l.Output(t.Context(), nil, "delete", "profile", "open"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	time.Sleep(settleTime)
	check(t, places, "a x tcp/8080 no", "b w tcp/8081 no")
	apply(t, l, object("Profile", "open", "ingress: [{action: Allow}], egress: [{action: Allow}]"))
	check(t, places, "a x tcp/8080 ok", "b w tcp/8081 ok", "x a icmp ok", "o x tcp/8080 ok")

	// Labels, ports, service account and profiles of the endpoints are the user's.
	for name, of := range map[string][4]string{
		"a": {"client", "near", "alice", ""}, "b": {"client", "near", "bob", ""}, "c": {"client", "far", "alice", ""},
		"x": {"server", "near", "xavier", "8080"}, "w": {"server", "near", "walter", "8081"}, "z": {"server", "far", "xavier", "8080"},
	} {
		label := map[string]string{"c": "a", "z": "x"}[name]
		if label == "" {
			label = name
		}
		setEndpoint(t, l, name, func(meta, spec map[string]any) {
			meta["labels"] = map[string]string{"app": label, "role": of[0]}
			spec["profiles"] = []string{"tried-" + of[0], "kns." + of[1], "ksa." + of[1] + "." + of[2]}
			spec["serviceAccountName"] = of[2]
			if of[3] != "" {
				spec["ports"] = []map[string]any{
					{"name": "http", "protocol": "TCP", "port": json.Number(of[3])}, {"name": "dns", "protocol": "UDP", "port": 5353},
				}
			}
		})
	}
	apply(t, l, filled(services, places))

	for _, dir := range []model.Direction{model.Ingress, model.Egress} {
		for _, c := range casesOf(dir) {
			t.Run(fmt.Sprintf("%v %s", dir, c.name), func(t *testing.T) {
				apply(t, l, profileDocs(dir, ruleText(c.rule, places)))
				time.Sleep(settleTime)
				checkAll(t, places, concern(c.probes, "global", dir))
			})
		}
	}
	// R55: Pass ends a profile, the next one is tried; Deny ends them all.
	apply(t, l, profileDocs(model.Ingress, "{action: Pass, source: {selector: app == 'a'}}"))
	time.Sleep(settleTime)
	check(t, places, "a x tcp/8080 ok", "b x tcp/8080 no")

	// Labels of a profile are its endpoints' (R52).
	apply(t, l, object("Profile", "tried-server", "labelsToApply: {dressed: up}, ingress: [{action: Allow}], egress: [{action: Allow}]")+
		gnp("p", "selector: dressed == 'up', types: [Ingress]"))
	check(t, places, "a x tcp/8080 no", "x a icmp ok")
	remove(t, l, gnp("p", ""))
	check(t, places, "a x tcp/8080 ok")
}

// profileDocs are the profiles of both sides: one with the rule and a Deny after it, the other open.
func profileDocs(dir model.Direction, rule string) string {
	tried, open := fmt.Sprintf("[%s, {action: Deny}]", rule), "[{action: Allow}]"
	if dir == model.Ingress {
		return object("Profile", "tried-server", "ingress: "+tried+", egress: "+open) + object("Profile", "tried-client", "ingress: "+open+", egress: "+open)
	}
	return object("Profile", "tried-client", "egress: "+tried+", ingress: "+open) + object("Profile", "tried-server", "ingress: "+open+", egress: "+open)
}

// setEndpoint changes the WorkloadEndpoint of a container.
func setEndpoint(t *testing.T, l *lab.Lab, container string, change func(meta, spec map[string]any)) {
	t.Helper()
	out, err := l.Output(t.Context(), nil, "get", "workloadendpoints", "-A", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []map[string]any `json:"items"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Items {
		meta, _ := o["metadata"].(map[string]any)
		spec, _ := o["spec"].(map[string]any)
		if spec["containerID"] != container {
			continue
		}
		change(meta, spec)
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, l, string(raw))
		return
	}
	t.Fatalf("no WorkloadEndpoint of %s in %s", container, out)
}
