package nftnl

import (
	"fmt"
	"slices"
	"testing"
)

// floor is the least that policies need: for each a set of ten members, a chain with one rule that looks a source up in
// it, and a jump to it from one of 100 chains that a map of interfaces leads to. Without sets, the rule compares.
func floor(policies int, sets bool) *Batch {
	b := NewBatch(Inet, testTable)
	name := func(i int) string { return fmt.Sprintf("set-%d", i) }
	b.AddTable()
	b.AddChain(Chain{Name: "unused"})
	b.AddChain(Chain{Name: "forward", Base: &Base{Type: "filter", Hook: HookForward}})
	b.AddSet(Set{Name: "interfaces", Key: TypeIFName, Verdicts: true})
	for i := range 100 {
		b.AddChain(Chain{Name: fmt.Sprintf("to-%d", i)})
		key := append(fmt.Appendf(nil, "cali%d", i), make([]byte, 16)...)[:16]
		b.AddElements("interfaces", []Element{{Key: key, Verdict: &Verdict{Code: Jump, Chain: fmt.Sprintf("to-%d", i)}}})
	}
	for i := range policies {
		if sets {
			b.AddSet(Set{Name: name(i), Key: TypeIPv4})
			b.AddElements(name(i), addresses(i*10, 10))
		}
		b.AddChain(Chain{Name: fmt.Sprintf("policy-%d", i)})
	}
	for i := range policies {
		match := slices.Concat(LoadPayload(NetworkHeader, 12, 4, Reg), Compare(Reg, Equal, []byte{10, 0, 0, 1}))
		if sets {
			match = slices.Concat(LoadPayload(NetworkHeader, 12, 4, Reg), Lookup(Reg, name(i), false))
		}
		b.AddRule(Rule{Chain: fmt.Sprintf("policy-%d", i), Exprs: slices.Concat(match, CountPackets(0, 0), Decide(Verdict{Code: Accept}))})
		b.AddRule(Rule{Chain: fmt.Sprintf("to-%d", i%100), Exprs: Decide(Verdict{Code: Jump, Chain: fmt.Sprintf("policy-%d", i)})})
	}
	b.AddRule(Rule{Chain: "forward", Exprs: slices.Concat(LoadMeta(MetaOIFName, Reg), LookupVerdict(Reg, "interfaces"))})
	return b
}

// BenchmarkFloor is what the kernel itself takes: no plane on nftables can be faster with one set and one chain for each
// policy. "rule" is a commit of one rule in a chain that nothing leads to: the kernel checks all that base chains lead to.
// "set" and "element" look for a set among all of the table's.
func BenchmarkFloor(b *testing.B) {
	for _, policies := range []int{100, 1000, 5000} {
		for _, sets := range []bool{true, false} {
			shape := fmt.Sprintf("policies=%d,sets=%t", policies, sets)
			b.Run(shape+"/load", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					_, c := open(b)
					batch := floor(policies, sets)
					b.StartTimer()
					if err := c.Send(batch); err != nil {
						b.Fatal(err)
					}
				}
			})
			for _, step := range []struct {
				name string
				do   func(batch *Batch, i int)
			}{
				{"rule", func(batch *Batch, _ int) {
					batch.FlushChain("unused")
					batch.AddRule(Rule{Chain: "unused", Exprs: Decide(Verdict{Code: Accept})})
				}},
				{"set", func(batch *Batch, i int) {
					if i%2 == 0 {
						batch.AddSet(Set{Name: "one-more", Key: TypeIPv4})
					} else {
						batch.DeleteSet("one-more")
					}
				}},
				{"element", func(batch *Batch, i int) { batch.AddElements("last", addresses(i, 1)) }},
			} {
				b.Run(shape+"/"+step.name, func(b *testing.B) {
					_, c := open(b)
					first := floor(policies, sets)
					first.AddSet(Set{Name: "last", Key: TypeIPv4})
					if err := c.Send(first); err != nil {
						b.Fatal(err)
					}
					i := 0
					for b.Loop() {
						batch := NewBatch(Inet, testTable)
						step.do(batch, i)
						if err := c.Send(batch); err != nil {
							b.Fatal(err)
						}
						i++
					}
				})
			}
		}
	}
}
