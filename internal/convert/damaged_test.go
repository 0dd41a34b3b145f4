package convert

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// junk is what a field may hold that should hold something else.
var junk = []any{
	nil, true, "", "x", "a ==", "all()", "global()", "-1", "0", "80", "90:80", "10.0.0.0/8", "::/0", "0.0.0.0/0", "fe80::1%eth0", "::ffff:1.2.3.4",
	"TCP", "ICMP", "Egress", "Deny", "Pass", "k8s", "*", "n'\"", json.Number("-1"), json.Number("0"), json.Number("4"), json.Number("65536"),
	json.Number("1e400"), json.Number("99999999999999999999"), json.Number("1.5"),
}

const kubernetesObjects = `
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns, annotations: {cni.projectcalico.org/podIPs: 10.0.0.1/32, cni.projectcalico.org/allowedSourcePrefixes: '["10.0.0.0/8"]'}}, spec: {nodeName: n1, serviceAccountName: sa, containers: [{name: c, ports: [{name: http, containerPort: 80, protocol: TCP}]}]}, status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: s, namespace: ns}, spec: {clusterIPs: [10.96.0.1], ports: [{name: http, port: 80, protocol: TCP}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s, namespace: ns}, addressType: IPv4, ports: [{name: http, port: 80, protocol: TCP}], endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: k, namespace: ns}, spec: {podSelector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}, namespaceSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90, protocol: TCP}, {port: http}]}], egress: [{}]}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: full, namespace: ns}, spec: {tier: t, order: 5, selector: has(a), serviceAccountSelector: has(b), types: [Ingress, Egress], ingress: [{action: Allow, ipVersion: 4, protocol: TCP, source: {nets: [10.0.0.0/8], notNets: [10.1.0.0/16], selector: has(a), notSelector: has(b), namespaceSelector: has(c), serviceAccounts: {names: [sa], selector: has(d)}, ports: [80, http]}, destination: {ports: ["1:2"], notPorts: [3]}, http: {methods: [GET], paths: [{exact: /}]}}], egress: [{action: Deny, protocol: ICMP, icmp: {type: 8, code: 0}, notICMP: {type: 3}}, {action: Pass, notProtocol: UDP, destination: {services: {name: s, namespace: ns}}}]}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: full}, spec: {selector: has(a), namespaceSelector: all(), serviceAccountSelector: all(), types: [Ingress], preDNAT: true, applyOnForward: true, ingress: [{action: Deny}]}}
`

// Whatever one or two fields of an object are replaced by, nothing panics, a policy closes, and what Prepare takes Model
// takes too.
func TestDamagedObjects(t *testing.T) {
	const seed, rounds = 20261120, 12000
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	text, err := os.ReadFile("testdata/objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := ParseManifest(strings.NewReader(kubernetesObjects+"\n---\n"+string(text)), "f")
	if err != nil {
		t.Fatal(err)
	}
	var read, invalid, prepared int
	for range rounds {
		m := manifests[random.IntN(len(manifests))]
		tree, err := jsonTree(m.Raw)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + random.IntN(2) {
			tree = damage(random, tree, true)
		}
		raw, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		value, err := Decode(m.Key, raw)
		if err != nil {
			stand, err := Unreadable(m.Key, err)
			checkPolicy(t, m.Key, stand, err)
			continue
		}
		read++
		out, err := Model(m.Key, value)
		checkPolicy(t, m.Key, out, err)
		if err != nil {
			invalid++
		}
		after, _, err := Prepare(m.Key, value, nil)
		if err != nil {
			continue
		}
		prepared++
		if _, err := Model(m.Key, after); err != nil {
			t.Fatalf("Prepare took %s, Model says %v", raw, err)
		}
	}
	t.Logf("%d objects: %d decoded, %d of them with problems, %d fit to be stored", rounds, read, invalid, prepared)
	if read < rounds/5 || invalid < rounds/50 || prepared < rounds/50 {
		t.Errorf("too few cases of one sort to mean anything")
	}
}

// damage replaces, removes or doubles something at a random place below the top.
func damage(random *rand.Rand, tree any, top bool) any {
	switch v := tree.(type) {
	case map[string]any:
		keys := sortedKeys(v)
		if len(keys) == 0 || !top && random.IntN(6) == 0 {
			break
		}
		key := keys[random.IntN(len(keys))]
		if _, ok := v["spec"]; ok && top && random.IntN(10) > 0 {
			key = "spec"
		}
		if !top && random.IntN(8) == 0 {
			delete(v, key)
			return v
		}
		v[key] = damage(random, v[key], false)
		return v
	case []any:
		if len(v) == 0 || random.IntN(6) == 0 {
			break
		}
		i := random.IntN(len(v))
		if random.IntN(4) == 0 {
			return append(v, v[i])
		}
		v[i] = damage(random, v[i], false)
		return v
	}
	containers := []any{[]any{}, []any{nil}, map[string]any{}, map[string]any{"": nil}}
	if i := random.IntN(len(junk) + len(containers)); i < len(junk) {
		return junk[i]
	}
	return containers[random.IntN(len(containers))]
}
