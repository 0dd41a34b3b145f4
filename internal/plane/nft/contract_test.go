package nft

import (
	"testing"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/plane/planetest"
)

type policer struct{ *Plane }

func (p policer) RulePackets() (map[intent.RuleID]uint64, error) {
	counters, err := p.Counters()
	out := make(map[intent.RuleID]uint64, len(counters.Rules))
	for id, c := range counters.Rules {
		out[id] = c.Packets
	}
	return out, err
}

func openPolicer(t testing.TB, ns *kernel.Namespace) planetest.Policer {
	p, err := New(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	return policer{p}
}

func TestGenerated(t *testing.T) {
	planetest.Generated(t, planetest.Subject{Open: openPolicer}, 1, 150, nil)
}

func TestContract(t *testing.T) {
	command := func(args ...string) func(testing.TB, *kernel.Namespace) {
		return func(t testing.TB, ns *kernel.Namespace) { nftCommand(t, ns, args...) }
	}
	const policyChain = "ingress/NetworkPolicy/n/p"
	planetest.Run(t, planetest.Subject{
		Open: openPolicer,
		Damage: []planetest.Damage{
			{Name: "table deleted", Do: command("delete table inet tortie")},
			{Name: "ruleset flushed", Do: command("flush ruleset")},
			{Name: "table dormant", Do: command("add table inet tortie { flags dormant; }")},
			{Name: "rules of a policy deleted", Do: command("flush chain inet tortie " + policyChain)},
			{Name: "rules of a base chain deleted", Do: command("flush chain inet tortie forward-to")},
			{Name: "rule added", Do: command("insert rule inet tortie " + policyChain + " counter accept")},
			{Name: "rule added to a base chain", Do: command("insert rule inet tortie prerouting-source drop")},
			{Name: "chain deleted", Do: command("flush chain inet tortie forward-to; delete chain inet tortie forward-to")},
			{Name: "base chain at another place", Do: command("flush chain inet tortie forward-to; delete chain inet tortie forward-to; add chain inet tortie forward-to { type filter hook output priority 5; }")},
			{Name: "policy of a base chain", Do: command("chain inet tortie forward-to { policy drop; }")},
			{Name: "chain added", Do: command("add chain inet tortie stranger { type filter hook forward priority 10; policy drop; }; add map inet tortie strange { type ipv4_addr : verdict; }; add chain inet tortie x; add element inet tortie strange { 1.2.3.4 : jump x }; add rule inet tortie stranger ip saddr vmap @strange")},
			{Name: "member deleted", Do: command("delete element inet tortie s/s.4 { 10.1.0.1 }")},
			{Name: "member added", Do: command("add element inet tortie s/s.4 { 10.1.0.3 }")},
			{Name: "members flushed", Do: command("flush set inet tortie s/s.6")},
			{Name: "prefix deleted", Do: command("delete element inet tortie s/s.4net { 198.51.100.0/24 }")},
			{Name: "prefix added", Do: command("add element inet tortie s/s.4net { 10.1.0.0/24 }")},
			{Name: "range added", Do: command("add element inet tortie s/s.4net { 10.1.0.1-10.1.0.7 }")},
			{Name: "prefixes flushed", Do: command("flush set inet tortie s/s.6net")},
			{Name: "dispatch deleted", Do: command("delete element inet tortie to-workload { cali2 }")},
			{Name: "dispatch flushed", Do: command("flush set inet tortie workload-interfaces; flush map inet tortie to-workload; flush map inet tortie from-workload")},
			{Name: "dispatch elsewhere", Do: command(`add chain inet tortie elsewhere; delete element inet tortie to-workload { cali2 }; add element inet tortie to-workload { cali2 : goto elsewhere }`)},
			{Name: "unknown interface made known", Do: command("add element inet tortie workload-interfaces { cali9 }; add element inet tortie from-workload { cali9 : accept }")},
		},
	})
}
