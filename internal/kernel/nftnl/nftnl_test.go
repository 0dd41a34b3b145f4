package nftnl

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/kernel"
)

const testTable = "t"

func open(t testing.TB) (*kernel.Namespace, *Conn) {
	t.Helper()
	ns, err := kernel.NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns, openIn(t, ns)
}

func openIn(t testing.TB, ns *kernel.Namespace) *Conn {
	t.Helper()
	c, err := Open(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t testing.TB, c *Conn, build func(b *Batch)) {
	t.Helper()
	b := NewBatch(Inet, testTable)
	build(b)
	if err := c.Send(b); err != nil {
		t.Fatal(err)
	}
}

func addresses(from, n int) []Element {
	out := make([]Element, n)
	for i := range out {
		out[i].Key = binary.BigEndian.AppendUint32(nil, uint32(0x0a000000+from+i))
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	_, c := open(t)
	if state, err := c.Table(Inet, testTable); err != nil || state.Exists {
		t.Fatalf("table before: %+v, %v", state, err)
	}
	set := Set{Name: "s", Key: TypeIPv4}
	const n = 100_000 // a hundred messages, one datagram
	send(t, c, func(b *Batch) {
		b.AddTable()
		b.AddSet(set)
		b.AddElements("s", addresses(0, n/2))
		b.AddChain(Chain{Name: "base", Base: &Base{Type: "filter", Hook: HookForward, Priority: -5}})
		b.AddChain(Chain{Name: "other"})
		b.AddElements("s", addresses(n/2, n/2))
		b.AddRule(Rule{Chain: "other", Comment: "first", Exprs: append(CountPackets(7, 700), Decide(Verdict{Code: Drop})...)})
		b.AddRule(Rule{Chain: "other", Comment: "second", Exprs: Decide(Verdict{Code: Return})})
		b.AddRule(Rule{Chain: "base", Comment: strings.Repeat("x", 200), Exprs: Decide(Verdict{Code: Jump, Chain: "other"})})
	})
	seen := make(map[string]bool)
	for all := -1; all != len(seen); { // a dump that the set's growth overtakes repeats some
		if err := c.Elements(Inet, testTable, "s", func() { clear(seen); all = 0 }, func(e Element) { seen[string(e.Key)] = true; all++ }); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != n {
		t.Fatalf("%d elements, want %d", len(seen), n)
	}
	shapes, err := c.Sets(Inet, testTable)
	if err != nil || shapes["s"] != set.Shape() {
		t.Errorf("sets %v, %v", shapes, err)
	}
	rules, err := c.Rules(Inet, testTable, "other")
	if err != nil || len(rules) != 2 || rules[0].Comment != "first" || rules[0].Packets != 7 || rules[0].Bytes != 700 || rules[1].Comment != "second" {
		t.Errorf("rules %+v, %v", rules, err)
	}
	if all, err := c.Rules(Inet, testTable, ""); err != nil || len(all) != 3 {
		t.Errorf("all rules %+v, %v", all, err)
	}
	if none, err := c.Rules(Inet, testTable, "nowhere"); err != nil || len(none) != 0 {
		t.Errorf("rules of a chain that does not exist: %+v, %v", none, err)
	}
	chains, err := c.Chains(Inet, testTable)
	if err != nil || len(chains) != 2 || chains[0].Base == nil || *chains[0].Base != (Base{"filter", HookForward, -5}) || !chains[0].Accept {
		t.Errorf("chains %+v, %v", chains, err)
	}
}

// A chain is renamed with its rules, its references and what refers to it.
func TestRenameChain(t *testing.T) {
	_, c := open(t)
	key := append([]byte("eth0"), make([]byte, 12)...)
	send(t, c, func(b *Batch) {
		b.AddTable()
		b.AddChain(Chain{Name: "old"})
		b.AddSet(Set{Name: "m", Key: TypeIFName, Verdicts: true})
		b.AddElements("m", []Element{{Key: key, Verdict: &Verdict{Code: Jump, Chain: "old"}}})
	})
	handle, err := c.ChainHandle(Inet, testTable, "old")
	if err != nil {
		t.Fatal(err)
	}
	send(t, c, func(b *Batch) {
		b.RenameChain(handle, "new")
		b.AddRule(Rule{Chain: "old", Comment: "rule", Exprs: Decide(Verdict{Code: Drop})})
	})
	chains, err := c.Chains(Inet, testTable)
	if err != nil || len(chains) != 1 || chains[0].Name != "new" {
		t.Errorf("chains %+v, %v", chains, err)
	}
	if rules, err := c.Rules(Inet, testTable, "new"); err != nil || len(rules) != 1 || rules[0].Comment != "rule" {
		t.Errorf("rules %+v, %v", rules, err)
	}
	var verdict Verdict
	if err := c.Elements(Inet, testTable, "m", func() {}, func(e Element) { verdict = *e.Verdict }); err != nil || verdict.Chain != "new" {
		t.Errorf("the map leads to %+v, %v", verdict, err)
	}
	if _, err := c.ChainHandle(Inet, testTable, "old"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the old name: %v", err)
	}
}

// A refused batch changes nothing, and its error names each operation that failed and why.
func TestErrorNamesOperation(t *testing.T) {
	_, c := open(t)
	send(t, c, func(b *Batch) { b.AddTable(); b.AddChain(Chain{Name: "good"}) })
	generation, err := c.Generation()
	if err != nil {
		t.Fatal(err)
	}
	b := NewBatch(Inet, testTable)
	b.AddChain(Chain{Name: "new"})
	b.AddRule(Rule{Chain: "good", Exprs: Lookup(Reg, "nowhere", false)})
	b.AddRule(Rule{Chain: "new", Exprs: Decide(Verdict{Code: Accept})})
	b.DeleteChain("missing")
	b.AddChain(Chain{Name: "last"})
	err = c.Send(b)
	for _, want := range []string{"nftables table t: add rule good: ", "delete chain missing: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %q", err, want)
		}
	}
	var op *Error
	if !errors.As(err, &op) || op.Operation != "add" || op.Kind != "rule" || op.Name != "good" || !errors.Is(op, unix.ENOENT) {
		t.Errorf("first error %+v", op)
	}
	if again, err := c.Generation(); err != nil || again != generation {
		t.Errorf("generation %d after a refused batch, was %d (%v)", again, generation, err)
	}
	send(t, c, func(b *Batch) { b.DeleteChain("good") }) // the socket is still in step
}

func TestWatchTellsOthersOnly(t *testing.T) {
	ns, own := open(t)
	other := openIn(t, ns)
	w, err := OpenWatch(ns.FD(), own.PortID())
	if err != nil {
		t.Fatal(err)
	}
	touched, ended := make(chan string, 16), make(chan error, 1)
	go func() { ended <- w.Run(Inet, testTable, func(what string) { touched <- what }) }()
	send(t, own, func(b *Batch) { b.AddTable(); b.AddChain(Chain{Name: "c"}) })
	foreign := NewBatch(Inet, "foreign")
	foreign.AddTable()
	if err := other.Send(foreign); err != nil {
		t.Fatal(err)
	}
	send(t, other, func(b *Batch) { b.DeleteChain("c") })
	select {
	case what := <-touched:
		if !strings.HasPrefix(what, "chain c deleted by process ") {
			t.Errorf("told %q first, want the deletion of chain c", what)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("another's change was not told")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run after Close: %v", err)
	}
	if len(touched) != 0 {
		t.Errorf("told also: %q", <-touched)
	}
}

// A dump that others' transactions disturb is begun again. While the kernel resizes a hash set in the background (no
// transaction tells) it may still leave elements out; it must be whole as soon as the writers are done.
func TestDumpWhileOthersWrite(t *testing.T) {
	ns, c := open(t)
	const n = 20_000
	send(t, c, func(b *Batch) {
		b.AddTable()
		b.AddSet(Set{Name: "s", Key: TypeIPv4})
		b.AddElements("s", addresses(0, n))
	})
	other := openIn(t, ns)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				ended <- nil
				return
			case <-time.After(2 * time.Millisecond):
			}
			b := NewBatch(Inet, testTable)
			b.AddElements("s", addresses(n+i, 1))
			if err := other.Send(b); err != nil {
				ended <- err
				return
			}
		}
	}()
	dump := func() (int, error) {
		seen := make(map[string]bool)
		err := c.Elements(Inet, testTable, "s", func() { clear(seen) }, func(e Element) { seen[string(e.Key)] = true })
		return len(seen), err
	}
	for range 5 {
		if _, err := dump(); err != nil && !errors.Is(err, errInterrupted) {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got, err := dump()
		if err == nil && got > n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("with nobody writing a dump gave %d elements, want more than %d (%v)", got, n, err)
		}
	}
}
