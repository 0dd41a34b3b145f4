package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tortie-net/tortie/internal/model"
)

func TestParseDestination(t *testing.T) {
	for _, test := range []struct {
		text, end string
		want      service
	}{
		{"shop/db", "shop/db", service{}},
		{"shop/db:5432", "shop/db", service{port: 5432, portGiven: true}},
		{"shop/db:5432/TCP", "shop/db", service{port: 5432, portGiven: true, protocol: model.ProtoTCP}},
		{"shop/db:53/udp", "shop/db", service{port: 53, portGiven: true, protocol: model.ProtoUDP}},
		{"shop/db:http", "shop/db", service{name: "http", portGiven: true}},
		{"shop/db:dns/UDP", "shop/db", service{name: "dns", portGiven: true, protocol: model.ProtoUDP}},
		{"shop/db:ICMP", "shop/db", service{protocol: model.ProtoICMP}},
		{"shop/db:/ICMP", "shop/db", service{protocol: model.ProtoICMP}},
		{"shop/db:/47", "shop/db", service{protocol: 47}},
		{"192.0.2.1", "192.0.2.1", service{}},
		{"192.0.2.1:80", "192.0.2.1", service{port: 80, portGiven: true}},
		{"2001:db8::1", "2001:db8::1", service{}},
		{"[2001:db8::1]", "2001:db8::1", service{}},
		{"[2001:db8::1]:80/SCTP", "2001:db8::1", service{port: 80, portGiven: true, protocol: model.ProtoSCTP}},
		{"[2001:db8::1]:icmpv6", "2001:db8::1", service{protocol: model.ProtoICMPv6}},
	} {
		end, got, err := parseDestination(test.text)
		if err != nil || end != test.end || got != test.want {
			t.Errorf("%s: %q %+v %v, want %q %+v", test.text, end, got, err, test.end, test.want)
		}
	}
}

// pod is a manifest of a pod with one address per family, or none.
func pod(name, node, more string, addresses ...string) string {
	status := ""
	if len(addresses) > 0 {
		status = "status: {podIPs: [{ip: '" + strings.Join(addresses, "'}, {ip: '") + "'}]}\n"
	}
	return fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: shop, labels: {app: %s}%s}\nspec: {nodeName: %s, containers: [{name: c, image: i}]}\n%s", name, name, more, node, status)
}

// TestExplainVerdicts: the first line of the answer, in every way in which a flow can be decided.
func TestExplainVerdicts(t *testing.T) {
	const policy = "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: %s}\nspec: {%s}\n"
	const namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
	web, db := pod("web", "n1", "", "10.0.0.1", "fd00::1"), pod("db", "n1", "", "10.0.0.2", "fd00::2")
	for _, test := range []struct{ name, manifests, src, dst, want string }{
		{"profile", namespace, "shop/web", "shop/db:80", "Allowed by profile kns.shop: egress rule 0, and by profile kns.shop: ingress rule 0"},
		{"missing profile", "", "shop/web", "shop/db:80", "Denied by profile kns.shop: it does not exist; and on ingress by profile kns.shop: it does not exist"},
		{"egress", namespace + fmt.Sprintf(policy, "p", "selector: app == 'web', egress: [{action: Allow}, {action: Deny}]"), "shop/web", "shop/db:80",
			"Allowed by GlobalNetworkPolicy p (tier default): egress rule 0 [standard input:"},
		{"egress denied", namespace + fmt.Sprintf(policy, "p", "selector: app == 'web', egress: [{action: Allow, protocol: UDP}]"), "shop/web", "shop/db:80",
			"Denied by GlobalNetworkPolicy p (tier default): end of tier [standard input:"},
		{"both deny", namespace + fmt.Sprintf(policy, "p", "types: [Ingress, Egress]"), "shop/web", "shop/db:80",
			"Denied by GlobalNetworkPolicy p (tier default): end of tier"},
		{"several at the end", namespace + fmt.Sprintf(policy, "a", "ingress: [{action: Allow, protocol: UDP}]") + fmt.Sprintf(policy, "b", "ingress: [{action: Allow, protocol: SCTP}]"),
			"shop/web", "shop/db:80", "Denied by tier default: end of tier, no rule of GlobalNetworkPolicy a, GlobalNetworkPolicy b matches"},
		{"default deny and others", namespace + fmt.Sprintf(policy, "a", "ingress: [{action: Allow, protocol: UDP}]") + fmt.Sprintf(policy, "z", "types: [Ingress]"),
			"shop/web", "shop/db:80", "Denied by GlobalNetworkPolicy z (tier default): end of tier, no rule of GlobalNetworkPolicy a matches"},
		{"families", namespace + fmt.Sprintf(policy, "p", "ingress: [{action: Allow, source: {nets: [10.0.0.0/8]}}]"), "shop/web", "shop/db:80",
			"IPv4: Allowed by profile kns.shop: egress rule 0, and by GlobalNetworkPolicy p (tier default): ingress rule 0"},
		{"no port", namespace + fmt.Sprintf(policy, "p", "ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]"), "shop/web", "shop/db",
			"Denied by GlobalNetworkPolicy p (tier default): end of tier"},
		{"source port", namespace + fmt.Sprintf(policy, "p", "ingress: [{action: Allow, protocol: TCP, source: {ports: [40000]}}]"), "shop/web", "shop/db:1",
			"Allowed by profile kns.shop: egress rule 0, and by GlobalNetworkPolicy p (tier default): ingress rule 0"},
		{"outside to outside", namespace, "192.0.2.1", "192.0.2.2:80", "Allowed: no policy of the cluster is asked"},
	} {
		s := booted(t)
		stdout, stderr, code := run(s, web+db+test.manifests, "explain", "-f", "-", test.src, test.dst)
		first, _, _ := strings.Cut(stdout, "\n")
		if code != exitOK || !strings.HasPrefix(first, test.want) || strings.Contains(stdout, "DEFECT") {
			t.Errorf("%s: exit code %d, %q\ngot  %s\nwant %s", test.name, code, stderr, first, test.want)
		}
		// The same from the store.
		if _, stderr, code := run(s, web+db+test.manifests, "apply", "-f", "-"); code != exitOK {
			t.Fatal(stderr)
		}
		stored, _, _ := run(s, "", "explain", test.src, test.dst)
		first, _, _ = strings.Cut(stored, "\n")
		want, _, _ := strings.Cut(test.want, " [standard")
		if !strings.HasPrefix(first, want) {
			t.Errorf("%s, stored: %s, want %s", test.name, first, want)
		}
	}
}

// TestExplainRefusals: what cannot be answered is said, with the exit code for it.
func TestExplainRefusals(t *testing.T) {
	four, six := pod("four", "n1", "", "10.0.0.1"), pod("six", "n1", "", "fd00::1")
	for _, test := range []struct {
		manifests, src, dst, want string
		code                      int
	}{
		{four + six, "shop/four", "shop/six:80", "shop/four has [10.0.0.1] and shop/six has [fd00::1]: no family in common", exitFailed},
		{four, "shop/four", "shop/nobody:80", `workload "nobody" in namespace "shop": not found: must be NAMESPACE/POD, a WorkloadEndpoint or an address`, exitNotFound},
		{four, "four", "192.0.2.1", `workload "four" in namespace "default": not found: did you mean shop/four?`, exitNotFound},
		{four, "shop/four", "192.0.2.1:http", `port "http": 192.0.2.1 has no named ports: must be a number`, exitFailed},
		{four + four, "shop/four", "192.0.2.1", `pod "shop/four": is there twice, first at standard input:2`, exitFailed},
	} {
		stdout, stderr, code := run(booted(t), test.manifests, "explain", "-f", "-", test.src, test.dst)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%s %s: exit code %d, %q %q, want %d, %q", test.src, test.dst, code, stdout, stderr, test.code, test.want)
		}
	}
	// A pod of the store that has no address yet.
	s := booted(t)
	if _, stderr, code := run(s, pod("new", "n1", "")+four, "apply", "-f", "-"); code != exitOK {
		t.Fatal(stderr)
	}
	if _, stderr, code := run(s, "", "explain", "shop/new", "shop/four:1"); code != exitFailed || !strings.Contains(stderr, "shop/new has no address yet: nothing can be sent") {
		t.Errorf("no address: %d, %q", code, stderr)
	}
}
