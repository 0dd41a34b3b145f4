package nft

import (
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
)

// Counter is how many packets, and bytes of them, a rule matched: the first packets of flows, for a rule of policy.
type Counter struct{ Packets, Bytes uint64 }

// Counters is what the table's rules counted since they were first made; rules that are rewritten go on counting.
type Counters struct {
	Rules map[intent.RuleID]Counter
	// Ends is by what the rules without an identity are for: "end of tier default ingress", "end of profiles egress",
	// "unknown workload interface", "invalid" …, summed over the chains that have one.
	Ends map[string]Counter
}

// Counters reads the counters. It costs a dump of the table's rules.
func (p *Plane) Counters() (Counters, error) {
	rules, err := p.conn.Rules(nftnl.Inet, table, "")
	if err != nil {
		return Counters{}, err
	}
	out := Counters{Rules: make(map[intent.RuleID]Counter), Ends: make(map[string]Counter)}
	for _, r := range rules {
		label := identity(r.Comment)
		if id, ok := ruleID(label); ok {
			add(out.Rules, id, r)
		} else if label != "" && r.Packets > 0 {
			add(out.Ends, label, r)
		}
	}
	return out, nil
}

func add[K comparable](m map[K]Counter, key K, r nftnl.Rule) {
	c := m[key]
	c.Packets += r.Packets
	c.Bytes += r.Bytes
	m[key] = c
}

// identity is a comment without its hash: what a counter belongs to.
func identity(comment string) string {
	at := strings.LastIndexByte(comment, ' ')
	if at < 0 {
		return ""
	}
	if label := comment[:at]; label != "" {
		if id := label[strings.LastIndexByte(label, ' ')+1:]; isRuleID(id) {
			return id
		}
		return label
	}
	return ""
}

func isRuleID(text string) bool { _, ok := ruleID(text); return ok }

func ruleID(text string) (intent.RuleID, bool) {
	if len(text) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(text, 16, 64)
	return intent.RuleID(id), err == nil
}
