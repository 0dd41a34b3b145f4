package convert

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v3 "github.com/tortie-net/tortie/api/v3"
)

func TestParseManifest(t *testing.T) {
	const text = `# a comment
---
# another
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: t}
spec: {order: 5, colour: red}
---

---
apiVersion: v1
kind: List
items:
- apiVersion: projectcalico.org/v3
  kind: NetworkSet
  metadata: {name: s, namespace: ns, labels: {on: yes, n: 1}}
  spec: {nets: [10.0.0.0/8], Nets: [0.0.0.0/0]}
- {apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns}, spec: {containers: [{name: c, resources: {limits: {cpu: 1}}}]}}
...
{"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicyList", "items": [{"metadata": {"name": "g"}, "extra": 1}]}
{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
 "metadata": {"name": "k", "namespace": "ns"}}
`
	manifests, err := ParseManifest(strings.NewReader(text), "a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range manifests {
		got = append(got, fmt.Sprintf("%s:%d %s %v", m.Source, m.Line, m.Key, m.Unknown))
	}
	want := []string{
		"a.yaml:4 Tier/t [spec.colour]",
		"a.yaml:11 NetworkSet/ns/s [spec.Nets]",
		"a.yaml:11 Pod/ns/p []",
		"a.yaml:20 GlobalNetworkPolicy/g [extra]",
		"a.yaml:21 KubernetesNetworkPolicy/ns/k []",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	set := manifests[1].Value.(*v3.NetworkSet)
	if diff := cmp.Diff(map[string]string{"true": "true", "false": "1"}, set.Labels); diff != "" {
		t.Errorf("labels, as Calico's client reads them: (-want +got)\n%s", diff)
	}
	// A field that differs in case only is not honoured in silence.
	if diff := cmp.Diff([]string{"10.0.0.0/8"}, set.Spec.Nets); diff != "" {
		t.Errorf("nets: (-want +got)\n%s", diff)
	}
}

func TestParseManifestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"\n\nkind: Tier", "f:3: apiVersion is missing: must be projectcalico.org/v3 Tier"},
		{"apiVersion: v1", "f:1: kind is missing"},
		{"apiVersion: apps/v1\nkind: NetworkPolicy\nmetadata: {name: a}", `f:1: kind "NetworkPolicy" of "apps/v1" is not known: must be projectcalico.org/v3 NetworkPolicy or networking.k8s.io/v1 NetworkPolicy`},
		{"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {}", "f:1: tier: metadata.name is missing"},
		{"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {generateName: a}", "f:1: tier: metadata.name is missing"},
		{"apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: n}", "f:1: node: metadata.name and namespace must be text: put y, n, on, off and numbers in quotes"},
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {nodeName: n, schedulerName: 5}", `f:1: pod "a": spec.nodeName: false: must be text: put y, n, yes, no, on, off, true and false in quotes; spec.schedulerName: 5: must be text: put it in quotes`},
		{"a: b\n---\na:\n  - b\n c: d\n", "f:1: kind is missing\nf:4: yaml: did not find expected key"},
		{"kind: Tier\nkind: Node", `f:2: yaml: key "kind" already set in map`},
		{"- a\n- b", "f:1: must be an object with apiVersion, kind, metadata and spec"},
		{"apiVersion: [1]\nkind: Tier", "f:1: apiVersion and kind must be text"},
		{"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a}\nspec: {order: [1], defaultAction: {}}", `f:1: tier "a": spec.defaultAction: {}: must be text; spec.order: [1]: must be a number`},
	} {
		_, err := ParseManifest(strings.NewReader(c.text), "f")
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// One wrong document does not hide the others.
func TestParseManifestKeepsGoing(t *testing.T) {
	const tier = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: %s}\n---\n"
	manifests, err := ParseManifest(strings.NewReader(fmt.Sprintf(tier, "a")+"kind: 5\n---\n"+fmt.Sprintf(tier, "b")), "f")
	if err == nil || len(manifests) != 2 {
		t.Errorf("got %d manifests, error %v", len(manifests), err)
	}
}

func TestLookup(t *testing.T) {
	for name, want := range map[string]string{
		"gnp": "GlobalNetworkPolicy", "GlobalNetworkPolicies": "GlobalNetworkPolicy", "np": "NetworkPolicy", "policy": "NetworkPolicy",
		"networkpolicies": "NetworkPolicy", "networkpolicies.networking.k8s.io": "KubernetesNetworkPolicy", "knp": "KubernetesNetworkPolicy",
		"networkpolicies.projectcalico.org": "NetworkPolicy", "IPPool": "IPPool", "nodes": "Node", "no": "Node", "wep": "WorkloadEndpoint",
		"hep": "HostEndpoint", "felixconfig": "FelixConfiguration", "kcc": "KubeControllersConfiguration", "kubeControllersConfig": "KubeControllersConfiguration",
		"bgpconfig": "BGPConfiguration", "ipamconfig": "IPAMConfiguration", "pro": "Profile", "netsets": "NetworkSet", "svc": "Service", "caliconodestatus": "CalicoNodeStatus",
		"bgpFilters": "BGPFilter", "sknp": "StagedKubernetesNetworkPolicy",
	} {
		if info, ok := Lookup(name); !ok || string(info.Kind) != want {
			t.Errorf("%s: is %q: want %s", name, info.Kind, want)
		}
	}
	if info, ok := Lookup("deployment"); ok {
		t.Errorf("deployment: is %s", info.Kind)
	}
	names := make(map[string]string)
	for _, info := range Kinds() {
		for _, name := range append([]string{info.Plural, info.Singular}, info.Short...) {
			if other, ok := names[name]; ok {
				t.Errorf("%s: is a name of %s and of %s", name, other, info.Kind)
			}
			names[name] = string(info.Kind)
		}
	}
}
