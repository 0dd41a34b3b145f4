package nft

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tortie-net/tortie/internal/kernel/nftnl"
)

// Sync implements plane.Plane: it reads the table and compares it with what is wanted. Rules are compared by the hashes
// in their comments, sets by their elements. Sets that the intent does not have yet are read when it has them.
func (p *Plane) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	before := p.rules.pending()
	state, err := p.conn.Table(nftnl.Inet, table)
	if err != nil {
		return err
	}
	p.exists, p.dormant, p.rebuild = state.Exists, state.Dormant, false
	if !p.exists {
		p.rules.forgetKernel()
	} else if err := p.readTable(); err != nil {
		return err
	}
	if p.synced && before == 0 && (p.rules.pending() > 0 || p.dormant || p.rebuild) {
		p.repairs++
	}
	p.synced = true
	return nil
}

func (p *Plane) readTable() error {
	chains, err := p.conn.Chains(nftnl.Inet, table)
	if err != nil {
		return err
	}
	rules, err := p.conn.Rules(nftnl.Inet, table, "")
	if err != nil {
		return err
	}
	sets, err := p.conn.Sets(nftnl.Inet, table)
	if err != nil {
		return err
	}
	p.rebuild = p.observeChains(chains, rules)
	p.rules.shapes.ObserveAll(sets)
	for name, s := range p.rules.sets {
		s.read = false
		p.rules.touched[name] = s
	}
	p.rules.shapes.Pending(func(_ string, want, have *nftnl.SetShape) {
		p.rebuild = p.rebuild || want != nil && have != nil
	})
	return p.readUnknown()
}

// observeChains compares chains. It reports true if a base chain is not where it must be, which only a new table mends.
func (p *Plane) observeChains(chains []nftnl.Chain, rules []nftnl.Rule) (rebuild bool) {
	comments := make(map[string][]string, len(chains))
	for _, r := range rules {
		comments[r.Chain] = append(comments[r.Chain], r.Comment)
	}
	actual := make(map[string]*chain, len(chains))
	for _, c := range chains {
		actual[c.Name] = &chain{base: c.Base, sum: sumOf(c.Base, c.Accept, comments[c.Name])}
		if want, ok := p.rules.chains.Wanted(c.Name); ok {
			rebuild = rebuild || (want.base == nil) != (c.Base == nil) || want.base != nil && *want.base != *c.Base
		}
	}
	p.rules.chains.ObserveAll(actual)
	return rebuild
}

// readUnknown reads the elements of the wanted sets whose kernel content is not known.
func (p *Plane) readUnknown() error {
	var unknown []*set
	for _, s := range p.rules.touched {
		if !s.read {
			unknown = append(unknown, s)
		}
	}
	if err := p.readSets(unknown); err != nil {
		return fmt.Errorf("compare with what is wanted: %w", err)
	}
	for _, s := range unknown {
		s.read = true
		if s.pending() == 0 && !s.rewrite {
			delete(p.rules.touched, s.spec.Name)
		}
	}
	return nil
}

// fewSets is how many sets one socket reads alone.
const fewSets = 64

// readSets reads many sets by several sockets at once: for each question the kernel walks through the list of all sets
// several times, but it answers sockets side by side.
func (p *Plane) readSets(sets []*set) error {
	conns := append([]*nftnl.Conn{p.conn}, p.readers...)
	if len(sets) <= fewSets {
		conns = conns[:1]
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	errs := make([]error, len(conns))
	for i, conn := range conns {
		wait.Go(func() {
			for n := next.Add(1); n <= int64(len(sets)) && errs[i] == nil; n = next.Add(1) {
				errs[i] = p.readSet(conn, sets[n-1])
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// readSet changes nothing but the set: it runs for several sets at once.
func (p *Plane) readSet(conn *nftnl.Conn, s *set) error {
	s.rewrite = false
	if _, there := p.rules.shapes.Actual(s.spec.Name); !there || p.rebuild {
		s.forgetKernel()
		return nil
	}
	switch s.kind {
	case kindRows:
		return readRows(conn, s)
	case kindNet4, kindNet6:
		return readRanges(conn, s)
	}
	return readHash(conn, s)
}

// A hash set that the kernel is re-arranging, as it does in the background once the set has grown, is dumped wrongly: from
// one part of the answer to the next elements change places, so that some come twice and as many not at all.
const (
	readTries = 20
	readPause = 10 * time.Millisecond // between tries; 100,000 elements are re-arranged in about this time
)

var errRearranged = fmt.Errorf("the kernel kept re-arranging the set while it was read %d times", readTries)

// readHash avoids a second copy of a big set: an element that is as wanted costs one lookup.
func readHash(conn *nftnl.Conn, s *set) error {
	var seen []member
	for range readTries {
		err := conn.Elements(nftnl.Inet, table, s.spec.Name, func() { seen = seen[:0]; s.rewrite = false }, func(e nftnl.Element) {
			m, ok := s.kind.parse(e)
			s.rewrite = s.rewrite || !ok
			seen = append(seen, m)
		})
		if err != nil {
			return err
		}
		s.members.ObserveSeq(func(yield func(member, struct{}) bool) {
			for _, m := range seen {
				if !yield(m, struct{}{}) {
					return
				}
			}
		})
		if s.members.Present() == len(seen) {
			return nil
		}
		time.Sleep(readPause)
	}
	return fmt.Errorf("set %s: %w", s.spec.Name, errRearranged)
}

func readRanges(conn *nftnl.Conn, s *set) error {
	var elements []nftnl.Element
	err := conn.Elements(nftnl.Inet, table, s.spec.Name, func() { elements = nil }, func(e nftnl.Element) {
		elements = append(elements, nftnl.Element{Key: append([]byte(nil), e.Key...), End: e.End})
	})
	if err != nil {
		return err
	}
	members, ok := ranges(s.kind, elements)
	s.rewrite = !ok
	s.members.ObserveAll(members)
	return nil
}

func readRows(conn *nftnl.Conn, s *set) error {
	rows := make(map[string]string)
	for range readTries {
		n := 0
		err := conn.Elements(nftnl.Inet, table, s.spec.Name, func() { clear(rows); n = 0 }, func(e nftnl.Element) {
			chain := ""
			if e.Verdict != nil {
				if chain = e.Verdict.Chain; e.Verdict.Code != nftnl.Jump {
					chain = fmt.Sprintf("verdict %d %s", e.Verdict.Code, chain)
				}
			}
			rows[string(e.Key)+string(e.KeyEnd)] = chain
			n++
		})
		if err != nil {
			return err
		}
		if n == len(rows) {
			s.rows.ObserveAll(rows)
			return nil
		}
		time.Sleep(readPause)
	}
	return fmt.Errorf("set %s: %w", s.spec.Name, errRearranged)
}

// forgetKernel says that the table is not there, or will be made anew.
func (rs *ruleset) forgetKernel() {
	rs.chains.ObserveAll(nil)
	rs.shapes.ObserveAll(nil)
	for name, s := range rs.sets {
		s.forgetKernel()
		s.read, s.rewrite = true, false
		if s.pending() > 0 {
			rs.touched[name] = s
		} else {
			delete(rs.touched, name)
		}
	}
}

func (s *set) forgetKernel() {
	if s.kind == kindRows {
		s.rows.ObserveAll(nil)
	} else {
		s.members.ObserveAll(nil)
	}
}
