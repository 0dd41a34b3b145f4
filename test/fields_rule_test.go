package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// Clients a, b (namespace near) and c (far); servers x, w (near) and z (far). w is on the clients' node.
const ruleLab = `
name: %s
subnets: [{name: lan, cidr: 172.30.11.0/24, cidr6: "fd00:30:11::/64"}]
nodes: [{name: %[1]s-1}, {name: %[1]s-2}]
objects:` + meshPools + `
  - |
    apiVersion: projectcalico.org/v3
    kind: FelixConfiguration
    metadata: {name: default}
    spec: {nftablesFilterDenyAction: Reject, programClusterRoutes: Enabled}
    ---
    apiVersion: projectcalico.org/v3
    kind: BGPConfiguration
    metadata: {name: default}
    spec: {nodeToNodeMeshEnabled: false, programClusterRoutes: Disabled}
`

const ruleWorkloads = `workloads:
  - {name: a, namespace: near, node: %[1]s-1, serviceAccount: alice, labels: {role: client, app: a}}
  - {name: b, namespace: near, node: %[1]s-1, serviceAccount: bob, labels: {role: client, app: b}}
  - {name: c, namespace: far, node: %[1]s-1, serviceAccount: alice, labels: {role: client, app: a}}
  - {name: x, namespace: near, node: %[1]s-2, serviceAccount: xavier, labels: {role: server, app: x}, ports: [{name: http, port: 8080}, {name: spare, port: 9090}, {name: dns, protocol: UDP, port: 5353}]}
  - {name: w, namespace: near, node: %[1]s-1, serviceAccount: walter, labels: {role: server, app: w}, ports: [{name: http, port: 8081}, {name: spare, port: 9090}, {name: dns, protocol: UDP, port: 5353}]}
  - {name: z, namespace: far, node: %[1]s-2, serviceAccount: xavier, labels: {role: server, app: x}, ports: [{name: http, port: 8080}, {name: spare, port: 9090}, {name: dns, protocol: UDP, port: 5353}]}
`

const ruleNamespaces = `
apiVersion: v1
kind: Namespace
metadata: {name: near, labels: {place: near}}
---
apiVersion: v1
kind: Namespace
metadata: {name: far, labels: {place: far}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: alice, namespace: near, labels: {rank: high}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: alice, namespace: far, labels: {rank: low}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: xavier, namespace: near, labels: {rank: high}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: xavier, namespace: far, labels: {rank: low}}
`

// ruleCase is a rule that allows, of a policy that denies the rest, and what passes. ${a4} and ${a6} are addresses.
type ruleCase struct {
	name   string
	rule   string
	probes []string
}

var ruleCases = []ruleCase{
	// R93, R82, R83 and protocols.
	{"protocol by name", `protocol: TCP`, []string{"a x tcp/8080 ok", "a x udp/5353 no", "a x icmp no"}},
	{"protocol by number", `protocol: 17`, []string{"a x udp/5353 ok", "a x tcp/8080 no"}},
	{"protocol ICMP", `protocol: ICMP`, []string{"a x icmp ok v4", "a x icmp no v6", "a x tcp/8080 no"}},
	{"notProtocol", `notProtocol: UDP`, []string{"a x tcp/8080 ok", "a x icmp ok", "a x udp/5353 no"}},
	// R90.
	{"ipVersion 4", `ipVersion: 4`, []string{"a x tcp/8080 ok v4", "a x tcp/8080 no v6"}},
	{"ipVersion 6", `ipVersion: 6`, []string{"a x tcp/8080 no v4", "a x tcp/8080 ok v6"}},
	// R93.
	{"icmp type", `{protocol: ICMP, icmp: {type: 8}}`, []string{"a x icmp ok v4", "a x tcp/8080 no"}},
	{"icmp other type", `{protocol: ICMP, icmp: {type: 13}}`, []string{"a x icmp no v4"}},
	{"icmp type and code", `{protocol: ICMPv6, icmp: {type: 128, code: 0}}`, []string{"a x icmp ok v6", "a x icmp no v4"}},
	{"icmp other code", `{protocol: ICMPv6, icmp: {type: 128, code: 1}}`, []string{"a x icmp no v6"}},
	{"notICMP type", `{protocol: ICMP, notICMP: {type: 8}}`, []string{"a x icmp no v4"}},
	{"notICMP other type", `{protocol: ICMP, notICMP: {type: 13}}`, []string{"a x icmp ok v4"}},
	{"notICMP code", `{protocol: ICMP, notICMP: {type: 8, code: 0}}`, []string{"a x icmp no v4"}},
	{"notICMP other code", `{protocol: ICMP, notICMP: {type: 8, code: 1}}`, []string{"a x icmp ok v4"}},
	// R69.
	{"source nets", `source: {nets: ["${a4}/32", "192.0.2.0/24"]}`, []string{"a x tcp/8080 ok v4", "b x tcp/8080 no v4", "a x tcp/8080 no v6"}},
	{"source nets of IPv6", `source: {nets: ["${a6}/128"]}`, []string{"a x tcp/8080 ok v6", "b x tcp/8080 no v6", "a x tcp/8080 no v4"}},
	{"source notNets", `source: {notNets: ["${a4}/32", "192.0.2.0/24"]}`, []string{"a x tcp/8080 no v4", "b x tcp/8080 ok v4"}},
	{"destination nets", `destination: {nets: ["${x4}"]}`, []string{"a x tcp/8080 ok v4", "a w tcp/8081 no v4"}},
	{"destination notNets", `destination: {notNets: ["${x4}/32"]}`, []string{"a x tcp/8080 no v4", "a w tcp/8081 ok v4"}},
	// R63 to R67.
	{"source selector", `source: {selector: app == 'a'}`, []string{"a x tcp/8080 ok", "b x tcp/8080 no", "c x tcp/8080 no namespaced", "c x tcp/8080 ok global"}},
	{"source notSelector", `source: {notSelector: app == 'a'}`, []string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
	{"source selector and notSelector", `source: {selector: role == 'client', notSelector: app == 'a'}`, []string{"a x tcp/8080 no", "b x tcp/8080 ok"}},
	{"source namespaceSelector", `source: {namespaceSelector: place == 'near'}`, []string{"a x tcp/8080 ok", "b x tcp/8080 ok", "c x tcp/8080 no"}},
	{"source namespaceSelector and selector", `source: {namespaceSelector: place == 'far', selector: app == 'a'}`, []string{"a x tcp/8080 no", "b x tcp/8080 no", "c x tcp/8080 ok ingress", "c z tcp/8080 ok global"}},
	{"destination selector", `destination: {selector: app == 'x'}`, []string{"a x tcp/8080 ok", "a w tcp/8081 no", "a z tcp/8080 no namespaced", "a z tcp/8080 ok global"}},
	{"destination notSelector", `destination: {notSelector: app == 'x'}`, []string{"a x tcp/8080 no", "a w tcp/8081 ok"}},
	{"destination namespaceSelector", `destination: {namespaceSelector: place == 'far'}`, []string{"a x tcp/8080 no", "a w tcp/8081 no", "a z tcp/8080 ok"}},
	// R51, R52, R63.
	{"source serviceAccounts names", `source: {serviceAccounts: {names: [alice, nobody]}}`, []string{"a x tcp/8080 ok", "b x tcp/8080 no"}},
	{"source serviceAccounts selector", `source: {namespaceSelector: all(), serviceAccounts: {selector: rank == 'high'}}`, []string{"a x tcp/8080 ok", "b x tcp/8080 no", "c x tcp/8080 no"}},
	{"destination serviceAccounts names", `destination: {serviceAccounts: {names: [xavier]}}`, []string{"a x tcp/8080 ok", "a w tcp/8081 no"}},
	{"destination serviceAccounts selector", `destination: {namespaceSelector: all(), serviceAccounts: {selector: rank == 'high'}}`, []string{"a x tcp/8080 ok", "a w tcp/8081 no", "a z tcp/8080 no"}},
	// R80 to R84.
	{"source ports", `{protocol: TCP, source: {ports: ["20000:20999"]}}`, []string{"a x tcp/8080 ok low", "a x tcp/8080 no high"}},
	{"source notPorts", `{protocol: TCP, source: {notPorts: ["20000:20999", 7]}}`, []string{"a x tcp/8080 no low", "a x tcp/8080 ok high"}},
	{"destination port", `{protocol: TCP, destination: {ports: [8080]}}`, []string{"a x tcp/8080 ok", "a x tcp/9090 no", "a w tcp/8081 no"}},
	{"destination ports, ranges", `{protocol: TCP, destination: {ports: [7, "9000:9100", 8081]}}`, []string{"a x tcp/8080 no", "a x tcp/9090 ok", "a w tcp/8081 ok"}},
	{"destination named port", `{protocol: TCP, destination: {ports: [http]}}`, []string{"a x tcp/8080 ok", "a w tcp/8081 ok", "a x tcp/9090 no"}},
	{"destination named port without protocol", `destination: {ports: [dns]}`, []string{"a x udp/5353 ok", "a x tcp/8080 no"}},
	{"destination named port of some", `{protocol: TCP, destination: {selector: app == 'x', ports: [http, 9090]}}`, []string{"a x tcp/8080 ok", "a x tcp/9090 ok", "a w tcp/8081 no", "a w tcp/9090 no"}},
	{"destination notPorts", `{protocol: TCP, destination: {notPorts: [8080, "9000:9080"]}}`, []string{"a x tcp/8080 no", "a x tcp/9090 ok", "a x udp/5353 no"}},
	{"destination named notPort", `{protocol: TCP, destination: {notPorts: [http]}}`, []string{"a x tcp/8080 no", "a w tcp/8081 no", "a x tcp/9090 ok"}},
}

// serviceCases are of rules that name a Service (R70), which may stand on one side only.
var serviceCases = map[model.Direction]ruleCase{
	model.Ingress: {"source services", `source: {services: {name: clients, namespace: near}}`, []string{"a x tcp/8080 ok", "b x tcp/8080 no"}},
	model.Egress:  {"destination services", `destination: {services: {name: servers, namespace: near}}`, []string{"a x tcp/8080 ok", "a x tcp/9090 no", "a w tcp/8081 no"}},
}

const services = `
apiVersion: v1
kind: Service
metadata: {name: clients, namespace: near}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: clients-4, namespace: near, labels: {kubernetes.io/service-name: clients}}
addressType: IPv4
endpoints: [{addresses: ["${a4}"], conditions: {ready: true}}]
ports: [{name: "", protocol: TCP, port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: clients-6, namespace: near, labels: {kubernetes.io/service-name: clients}}
addressType: IPv6
endpoints: [{addresses: ["${a6}"], conditions: {ready: true}}]
ports: [{name: "", protocol: TCP, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: servers, namespace: near}
spec: {ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: servers-4, namespace: near, labels: {kubernetes.io/service-name: servers}}
addressType: IPv4
endpoints: [{addresses: ["${x4}"], conditions: {ready: true}}]
ports: [{name: "", protocol: TCP, port: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: servers-6, namespace: near, labels: {kubernetes.io/service-name: servers}}
addressType: IPv6
endpoints: [{addresses: ["${x6}"], conditions: {ready: true}}]
ports: [{name: "", protocol: TCP, port: 8080}]
`

// casesOf are the rules to try in one direction.
func casesOf(dir model.Direction) []ruleCase {
	return append(append([]ruleCase(nil), ruleCases...), serviceCases[dir])
}

// filled puts addresses into a text.
func filled(text string, places map[string]place) string {
	for name, p := range places {
		for family, addr := range p.addr {
			text = strings.ReplaceAll(text, fmt.Sprintf("${%s%d}", name, family), addr.String())
		}
	}
	return text
}

// ruleText is a rule with action Allow as flow YAML.
func ruleText(rule string, places map[string]place) string {
	return "{action: Allow, " + strings.TrimSuffix(strings.TrimPrefix(filled(rule, places), "{"), "}") + closing(rule) + "}"
}

// closing is the brace that belongs to a rule written without outer ones.
func closing(rule string) string {
	if !strings.HasPrefix(rule, "{") && strings.HasSuffix(rule, "}") {
		return "}"
	}
	return ""
}

// concern keeps the probes that a policy in a scope and direction decides.
func concern(lines []string, scope string, dir model.Direction) []probe {
	var out []probe
	for _, line := range lines {
		p := parseProbe(line)
		namespaced := scope == "namespaced"
		switch {
		case p.words["namespaced"] && !namespaced, p.words["global"] && namespaced:
		case p.words["ingress"] && dir != model.Ingress, p.words["egress"] && dir != model.Egress:
		case namespaced && dir == model.Ingress && p.to == "z": // in namespace far: not a subject
		case namespaced && dir == model.Egress && p.from == "c":
		default:
			out = append(out, p)
		}
	}
	return out
}

// Every field of a rule, in policies of both scopes and both directions, on real packets of both families.
func TestRuleFields(t *testing.T) {
	for _, scope := range []string{"namespaced", "global"} {
		for _, dir := range []model.Direction{model.Ingress, model.Egress} {
			t.Run(fmt.Sprintf("%s %v", scope, dir), func(t *testing.T) {
				t.Parallel()
				l := startLab(t, fmt.Sprintf(ruleLab+ruleWorkloads, fmt.Sprintf("r%c-%v", scope[0], dir)))
				places := map[string]place{}
				for _, name := range []string{"a", "b", "c", "x", "w", "z"} {
					places[name] = placeOf(t, l, name)
				}
				apply(t, l, ruleNamespaces)
				apply(t, l, filled(services, places))
				check(t, places, "a x tcp/8080 ok", "a w tcp/8081 ok", "c z tcp/8080 ok", "a x udp/5353 ok", "b x tcp/9090 ok")
				for _, c := range casesOf(dir) {
					t.Run(c.name, func(t *testing.T) {
						apply(t, l, rulePolicy(scope, dir, ruleText(c.rule, places)))
						time.Sleep(settleTime)
						checkAll(t, places, concern(c.probes, scope, dir))
					})
				}
			})
		}
	}
}

// rulePolicy is a policy with one rule, for the side that a direction concerns.
func rulePolicy(scope string, dir model.Direction, rule string) string {
	kind, meta := "GlobalNetworkPolicy", "{name: tried}"
	if scope == "namespaced" {
		kind, meta = "NetworkPolicy", "{name: tried, namespace: near}"
	}
	role, typ, field := "server", "Ingress", "ingress"
	if dir == model.Egress {
		role, typ, field = "client", "Egress", "egress"
	}
	return fmt.Sprintf(`
apiVersion: projectcalico.org/v3
kind: %s
metadata: %s
spec:
  selector: role == '%s'
  types: [%s]
  %s: [%s]
`, kind, meta, role, typ, field, rule)
}
