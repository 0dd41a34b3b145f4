package convert

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// testdata/prepare holds, for each kind, wrong objects and what is said of them.
//
//	KIND NAME [namespace=NS] [label=KEY=VALUE]
//	spec of the object, as YAML
//	----
//	the stored form, or what is wrong
func TestPrepare(t *testing.T) {
	files, err := filepath.Glob("testdata/prepare/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no files in testdata/prepare", err)
	}
	wrong := make(map[model.Kind]int)
	for _, file := range files {
		datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
			info, ok := Lookup(d.Cmd)
			if !ok {
				return fmt.Sprintf("kind %q is not known", d.Cmd)
			}
			manifests, err := ParseManifest(strings.NewReader(manifestText(info, d)), "f.yaml")
			if err != nil {
				wrong[info.Kind]++
				return err.Error()
			}
			m := manifests[0]
			if len(m.Unknown) > 0 {
				return "unknown: " + strings.Join(m.Unknown, ", ")
			}
			prepared, _, err := Prepare(m.Key, m.Value, nil)
			if err != nil {
				wrong[info.Kind]++
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("%v: must be ErrInvalid", err)
				}
				return strings.ReplaceAll(err.Error(), "; ", "\n  ")
			}
			tree, err := treeOf(prepared)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := compactJSON(tree.(map[string]any)["spec"])
			if err != nil {
				t.Fatal(err)
			}
			return string(raw)
		})
	}
	if len(files) > 1 { // one file alone is being rewritten
		for _, info := range Kinds() {
			if wrong[info.Kind] < 5 {
				t.Errorf("%s: %d wrong objects: must be at least 5", info.Kind, wrong[info.Kind])
			}
		}
	}
}

// manifestText is the manifest of a case.
func manifestText(info KindInfo, d *datadriven.TestData) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n", info.APIVersion, info.wireKind())
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

// An update keeps identity and refuses what must not change.
func TestPrepareUpdate(t *testing.T) {
	key := model.Key{Kind: model.KindIPPool, Name: "a"}
	pool := func(cidr string, size int) *v3.IPPool {
		return &v3.IPPool{Spec: v3.IPPoolSpec{CIDR: cidr, BlockSize: size}}
	}
	first, _, err := Prepare(key, pool("10.1.2.3/16", 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	old := first.(*v3.IPPool)
	if old.Spec.CIDR != "10.1.0.0/16" || old.Spec.BlockSize != 26 || old.UID == "" || old.CreationTimestamp.IsZero() {
		t.Fatalf("created: %+v", old)
	}
	again, _, err := Prepare(key, pool("10.1.0.0/16", 26), old)
	if err != nil {
		t.Fatal(err)
	}
	if now := again.(*v3.IPPool); now.UID != old.UID || !now.CreationTimestamp.Equal(&old.CreationTimestamp) {
		t.Errorf("update changed identity: %v %v, was %v %v", now.UID, now.CreationTimestamp, old.UID, old.CreationTimestamp)
	}
	for _, c := range []struct {
		value *v3.IPPool
		want  string
	}{
		{pool("10.2.0.0/16", 26), `ippool "a": spec.cidr: 10.2.0.0/16: cannot be changed from 10.1.0.0/16: make a new pool, disable this one and move the workloads`},
		{pool("10.1.0.0/16", 27), `ippool "a": spec.blockSize: 27: cannot be changed from 26: make a new pool, disable this one and move the workloads`},
	} {
		if _, _, err := Prepare(key, c.value, old); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// What is given to Prepare is not changed by it.
func TestPrepareCopies(t *testing.T) {
	given := &v3.NetworkPolicy{Spec: v3.NetworkPolicySpec{Ingress: []v3.Rule{{Action: v3.Allow, Source: v3.EntityRule{Nets: []string{"10.1.2.3/8"}}}}}}
	key := model.Key{Kind: model.KindNetworkPolicy, Namespace: "ns", Name: "a"}
	prepared, _, err := Prepare(key, given, nil)
	if err != nil {
		t.Fatal(err)
	}
	if given.Name != "" || given.Labels != nil || given.Spec.Tier != "" || given.Spec.Ingress[0].Source.Nets[0] != "10.1.2.3/8" {
		t.Errorf("changed: %+v", given)
	}
	if got := prepared.(*v3.NetworkPolicy).Spec.Ingress[0].Source.Nets[0]; got != "10.0.0.0/8" {
		t.Errorf("net is %s", got)
	}
}

func TestPrepareWarnsOfWhatHasNoEffectYet(t *testing.T) {
	key := model.Key{Kind: model.KindFelixConfiguration, Name: "default"}
	fields := v3.NotYet[string(key.Kind)]
	yes := true
	value := &v3.FelixConfiguration{}
	value.Spec.BPFEnabled = &yes
	value.Spec.FloatingIPs = "Disabled" // the default: nothing to warn of
	if !slices.Contains(fields, "spec.bpfEnabled") {
		t.Fatal("spec.bpfEnabled is no longer in v3.NotYet: take another field for this test")
	}
	_, warnings, err := Prepare(key, value, nil)
	want := `felixconfiguration "default": spec.bpfEnabled: is stored and has no effect yet`
	if err != nil || len(warnings) != 1 || warnings[0] != want {
		t.Errorf("warnings are %q, %v; want %q", warnings, err, want)
	}
}

func TestCheckReferences(t *testing.T) {
	there := func(k model.Key) bool { return k.Name == "security" || k.Name == "f1" }
	pools := []*model.IPPool{{Name: "p", CIDR: netip.MustParsePrefix("10.1.0.0/16")}}
	gnp := func(tier string) *v3.GlobalNetworkPolicy {
		return &v3.GlobalNetworkPolicy{Spec: v3.GlobalNetworkPolicySpec{Tier: tier}}
	}
	for _, c := range []struct {
		kind  model.Kind
		value any
		want  string
	}{
		{model.KindGlobalNetworkPolicy, gnp("security"), ""},
		{model.KindGlobalNetworkPolicy, gnp("x"), `globalnetworkpolicy "a": spec.tier: x: there is no such tier: create it first`},
		{model.KindGlobalNetworkPolicy, gnp(""), `globalnetworkpolicy "a": spec.tier: default: there is no such tier: create it first`},
		{model.KindBGPPeer, &v3.BGPPeer{Spec: v3.BGPPeerSpec{Filters: []string{"f1", "f2"}}}, `bgppeer "a": spec.filters[1]: f2: there is no such bgpfilter: create it first`},
		{model.KindIPPool, &v3.IPPool{Spec: v3.IPPoolSpec{CIDR: "10.1.128.0/17"}}, `ippool "a": spec.cidr: 10.1.128.0/17: overlaps with ippool "p" (10.1.0.0/16)`},
		{model.KindIPPool, &v3.IPPool{Spec: v3.IPPoolSpec{CIDR: "10.2.0.0/16"}}, ""},
	} {
		err := CheckReferences(model.Key{Kind: c.kind, Name: "a"}, c.value, there, pools)
		if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestWorkloadEndpointNames(t *testing.T) {
	id := model.WorkloadID{Orchestrator: "k8s", Workload: "web-7d5f-abc", Endpoint: "eth0"}
	name := WorkloadEndpointName("compat-node", id)
	if name != "compat--node-k8s-web--7d5f--abc-eth0" {
		t.Errorf("name is %s", name)
	}
	if node, back, ok := SplitWorkloadEndpointName(name); !ok || node != "compat-node" || back != id {
		t.Errorf("split into %s %v %v", node, back, ok)
	}
	for _, wrong := range []string{"", "a", "a-b-c", "a-b-c-d-e", "--a-b-c-d", "a-b-c-", "a---b-c-d"} {
		if node, id, ok := SplitWorkloadEndpointName(wrong); ok {
			t.Errorf("%q split into %s %v", wrong, node, id)
		}
	}
}
