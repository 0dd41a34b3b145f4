package lab

import (
	"strings"
	"testing"
)

const good = `name: good
subnets: [{name: lan, cidr: 172.30.0.0/24, cidr6: "fd00:30::/64"}]
routers: [{name: r, subnets: [lan]}]
nodes:
  - {name: n1}
  - {name: n2, ports: [{port: 22}]}
workloads:
  - {name: web, node: n1}
  - {name: dns, node: n2, ports: [{protocol: udp, port: 53}, {port: 53}]}
expect:
  - {from: web, to: dns, verdict: allow}
`

func TestDefaults(t *testing.T) {
	f, err := ParseFile([]byte(good+`  - {from: dns, to: web, verdict: deny, within: 2s}
  - {from: web, to: n1, verdict: allow}
  - {from: web, to: n2, verdict: allow}
  - {from: n1, to: "fd00:30::b", protocol: tcp, port: 22, verdict: allow}
  - {from: web, to: 172.30.0.11, verdict: allow}
`), "good.yaml", ".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range f.Expect {
		got = append(got, e.String()+" within "+e.within.String())
	}
	want := `web → dns:53/UDP allow within 5s
dns → web:8080/TCP deny within 2s
web → n1/ICMP allow within 5s
web → n2:22/TCP allow within 5s
n1 → [fd00:30::b]:22/TCP allow within 5s
web → 172.30.0.11/ICMP allow within 5s`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if a := addresses(f.Nodes[1].addrs); a != "172.30.0.11, fd00:30::b" {
		t.Errorf("addresses of n2: %s", a)
	}
}

// A wrong file is refused with every mistake, its line where that is sure, and what is allowed.
func TestMistakes(t *testing.T) {
	replace := func(old, with string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the good file", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", " \n", "it is empty"},
		{"no YAML", "name: x\n  y: z\n", "line 2: not YAML: mapping values are not allowed in this context"},
		{"unknown field", replace("nodes:", "nodez:"), `line 4: field "nodez" is unknown`},
		{"field twice", "name: a\nname: b\n", `line 2: field "name" is there twice`},
		{"text for a number", replace("port: 22", "port: ssh"), "nodes.ports.port: string found, must be a number"},
		{"text for a list", replace("subnets: [lan]", "subnets: lan"), "routers.subnets: string found, must be a list"},
		{"name", replace("name: good", "name: Good"), `line 1: name "Good": allowed are 1 to 32 of a-z, 0-9 and -, the first and last no -`},
		{"node name", replace("name: n2,", "name: n_2,"), `line 6: node name "n_2": allowed are 1 to 32 of a-z, 0-9 and -, the first and last no -
line 9: workload "dns": node "n2" is not among the nodes`},
		{"name twice", replace("name: n2,", "name: web,"), `workload "web": a node has that name already
line 9: workload "dns": node "n2" is not among the nodes`},
		{"no subnet", "name: x\nnodes: [{name: n1}]\n", "subnets: at least one is needed\n" + `node "n1": subnet "" is not among the subnets`},
		{"no node", "name: x\nsubnets: [{name: s, cidr: 10.0.0.0/24}]\n", "nodes: at least one is needed"},
		{"cidr", replace("172.30.0.0/24", "172.30.0.0/30"), `line 2: subnet "lan": cidr "172.30.0.0/30": must be an IPv4 prefix, /8 to /29`},
		{"cidr of the other family", replace("172.30.0.0/24", "'fd00::/64'"), `line 2: subnet "lan": cidr "fd00::/64": must be an IPv4 prefix, /8 to /29`},
		{"cidr6", replace(`"fd00:30::/64"`, `"fd00:30::/124"`), `line 2: subnet "lan": cidr6 "fd00:30::/124": must be an IPv6 prefix, /8 to /120`},
		{"overlap", replace("subnets: [{", "subnets: [{name: wan, cidr: 172.16.0.0/12}, {"), `subnet "lan" overlaps subnet "wan"`},
		{"full subnet", "name: x\nsubnets: [{name: s, cidr: 10.0.0.0/29}]\nnodes: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}, {name: f}]\n",
			`node "f": subnet "s" has addresses for 5 nodes`},
		{"router's subnet", replace("subnets: [lan]", "subnets: [wan]"), `line 3: router "r": subnet "wan" is not among the subnets`},
		{"router without subnet", replace("subnets: [lan]", "subnets: []"), `line 3: router "r": subnets: at least one is needed`},
		{"two routers", replace("routers: [{", "routers: [{name: q, subnets: [lan]}, {"), `router "r": subnet "lan" has router "q" already: a subnet has at most one`},
		{"workload's node", replace("name: web, node: n1", "name: web, node: n7"), `line 8: workload "web": node "n7" is not among the nodes`},
		{"port", replace("port: 22", "port: 70000"), `line 6: node "n2": port 70000: allowed are 1 to 65535`},
		{"protocol", replace("protocol: udp", "protocol: SCTP"), `line 9: workload "dns": port 53: protocol "SCTP": allowed are TCP and UDP`},
		{"port twice", replace("protocol: udp, ", ""), `workload "dns": port 53/TCP is there twice`},
		{"namespace", replace("name: web, node", "name: web, namespace: A_b, node"), `line 8: workload "web": namespace "A_b": allowed are 1 to 32 of a-z, 0-9 and -, the first and last no -`},
		{"objects", good + "objects: [nothing.yaml]\n", "line 12: objects: stat testdata/nothing.yaml: no such file or directory"},
		{"from", replace("from: web", "from: wob"), `line 11: expect 1: from "wob": not among the workloads, nodes and routers`},
		{"to", replace("to: dns", "to: dnz"), `line 11: expect 1: to "dnz": not among the workloads, nodes and routers, and no address`},
		{"to itself", replace("to: dns", "to: web"), `expect 1: from and to are both "web"`},
		{"verdict", replace("verdict: allow", "verdict: maybe"), `line 11: expect 1: verdict "maybe": allowed are allow and deny`},
		{"family", replace("verdict: allow", "verdict: allow, family: 5"), "expect 1: family 5: allowed are 4 and 6"},
		{"family of an address", replace("to: dns", "to: 10.0.0.1, family: 6"), `expect 1: to "10.0.0.1": family 6: it is of family 4`},
		{"port nobody listens on", replace("verdict: allow", "verdict: allow, port: 80"), "line 11: expect 1: port 80: dns listens on 53/UDP, 53/TCP"},
		{"expected protocol", replace("verdict: allow", "verdict: allow, protocol: SCTP"), `line 11: expect 1: protocol "SCTP": allowed are TCP, UDP and ICMP`},
		{"ICMP with port", replace("verdict: allow", "verdict: allow, protocol: icmp, port: 53"), "expect 1: port 53: ICMP has none"},
		{"no port", replace("to: dns", "to: n1, protocol: TCP"), "expect 1: port: needed with protocol TCP to n1"},
		{"within", replace("verdict: allow", "verdict: allow, within: 2h"), `line 11: expect 1: within "2h": must be a duration up to 1m, as 2s`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseFile([]byte(c.text), "lab.yaml", "testdata")
			if err == nil {
				t.Fatalf("accepted; want %q", c.want)
			}
			if got := strings.ReplaceAll(err.Error(), "lab file lab.yaml: ", ""); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
