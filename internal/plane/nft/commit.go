package nft

import (
	"context"
	"errors"
	"fmt"

	"github.com/tortie-net/tortie/internal/kernel/nftnl"
)

// commitTries bounds how often one commit is tried, each time without what the kernel refused.
const commitTries = 6

// stage is one of the transactions that a change may need. Rules are replaced atomically, but what a packet's rules look up
// in a set or map is the newest there is, even if they are of the generation before. So a map must not lead to a chain
// that the packet's generation does not have, and a set must not go together with the rules that used it.
type stage uint8

const (
	stagePrepare stage = iota // new chains, if the dispatch of an interface moves to one that cannot be had by renaming (heirs)
	stageMain
	stageCleanUp // sets that rules used until just now
)

// commit makes the table what is wanted. whole false: nothing is removed. When the kernel refuses, the reason may be that
// the table is not as it was last read: it is read again first. What is then still refused is left out, a chain's rules
// with a drop in their place, and the rest goes on.
//
// A chain that was refused before is tried again if its rules changed, or with retry; else it would hold up every change.
func (p *Plane) commit(ctx context.Context, whole, retry bool) error {
	excluded := make(map[string]error)
	for name, r := range p.refused {
		if want, ok := p.rules.chains.Wanted(name); ok && want.sum == r.sum && !retry {
			excluded[name] = r.why
		}
	}
	var refusal error
	for try := range commitTries {
		if err := p.readUnknown(); err != nil {
			return err
		}
		err := p.stages(whole, try == 0, excluded)
		if err == nil {
			p.refused = make(map[string]refused, len(excluded))
			for name, why := range excluded {
				r := refused{why: why}
				if want, ok := p.rules.chains.Wanted(name); ok {
					r.sum = want.sum
				}
				p.refused[name] = r
			}
			return refusal
		}
		if refusal = err; ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if try > 0 && !exclude(err, excluded) {
			break
		}
		if err := p.Sync(ctx); err != nil {
			return errors.Join(refusal, err)
		}
		if try == 0 {
			refusal = nil // what was refused because the table was not as known is no failure once it is written
		}
	}
	p.refused["transaction"] = refused{why: refusal}
	return refusal
}

// refused is why the kernel does not take a chain, with the chain's content, or the elements of a set.
type refused struct {
	why error
	sum string
}

// sumRefused stands for the drop that a refused chain has in the kernel.
const sumRefused = "refused"

// stages sends the transactions. With rename, chains may be renamed; what the kernel refuses then is tried without.
func (p *Plane) stages(whole, rename bool, excluded map[string]error) error {
	moved := p.moved()
	var heirs map[string]heir
	if rename && whole && len(excluded) == 0 {
		heirs = p.heirs(moved)
	}
	for _, s := range []stage{stagePrepare, stageMain, stageCleanUp} {
		if s == stagePrepare && (len(moved) == 0 || heirs != nil) {
			continue
		}
		tx := p.transaction(s, whole, excluded, heirs)
		if err := p.conn.Send(tx.batch); err != nil {
			return err
		}
		tx.done()
		p.exists, p.dormant, p.rebuild = true, false, false
	}
	return nil
}

// exclude notes the objects that an error names; false if it names none that could be left out.
func exclude(err error, excluded map[string]error) bool {
	found := false
	var walk func(error)
	walk = func(err error) {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				walk(e)
			}
			return
		}
		var op *nftnl.Error
		if errors.As(err, &op) && op.Kind != "table" && op.Kind != "transaction" {
			if _, known := excluded[op.Name]; !known {
				excluded[op.Name] = op
				found = true
			}
		}
	}
	walk(err)
	return found
}

// transaction is one batch, and what is true once it is committed.
type transaction struct {
	p       *Plane
	batch   *nftnl.Batch
	stage   stage
	whole   bool
	skip    map[string]error
	heirs   map[string]heir // by the new name
	chains  []string
	dead    []string
	shapes  []string
	changed []*set

	add, remove elements   // of the set at hand
	exprs       nftnl.Expr // of the rule at hand
}

// transaction builds the batch. Its order is that of need: sets, chains, elements, rules, what dispatches to the chains;
// then what is no longer used, in reverse.
func (p *Plane) transaction(s stage, whole bool, skip map[string]error, heirs map[string]heir) *transaction {
	tx := &transaction{p: p, batch: nftnl.NewBatch(nftnl.Inet, table), stage: s, whole: whole, skip: skip, heirs: heirs}
	if p.rebuild && p.exists {
		tx.batch.DeleteTable()
		p.rules.forgetKernel()
	}
	if p.rebuild || !p.exists || p.dormant {
		tx.batch.AddTable()
	}
	deadSets := tx.addSets()
	if s == stageCleanUp {
		for _, name := range deadSets {
			tx.batch.DeleteSet(name)
		}
		return tx
	}
	tx.addChains()
	for _, s := range p.rules.touched {
		if _, there := p.rules.shapes.Actual(s.spec.Name); there && s.kind != kindRows && tx.stage == stageMain {
			tx.members(s) // they change together with what else changes
		}
	}
	for _, name := range tx.chains {
		tx.writeChain(name)
	}
	if s == stagePrepare {
		return tx
	}
	for _, s := range p.rules.touched {
		if s.kind == kindRows {
			tx.rows(s)
		}
	}
	for _, name := range tx.dead {
		tx.batch.FlushChain(name)
	}
	if len(tx.chains) == 0 {
		for _, name := range deadSets {
			tx.batch.DeleteSet(name)
			tx.shapes = append(tx.shapes, name)
		}
	} else {
		tx.deleteMaps(deadSets)
	}
	for _, name := range tx.dead {
		tx.batch.DeleteChain(name)
	}
	return tx
}

// deleteMaps removes maps that are not ours at once: their elements may hold the chains that go with them.
func (tx *transaction) deleteMaps(dead []string) {
	for _, name := range dead {
		if have, ok := tx.p.rules.shapes.Actual(name); ok && have.Map() {
			tx.batch.DeleteSet(name)
			tx.shapes = append(tx.shapes, name)
		}
	}
}

func (tx *transaction) addSets() (dead []string) {
	rs := &tx.p.rules
	rs.shapes.Pending(func(name string, want, _ *nftnl.SetShape) {
		if _, no := tx.skip[name]; no {
			return
		}
		switch {
		case want == nil && tx.whole:
			dead = append(dead, name)
			if tx.stage == stageCleanUp {
				tx.shapes = append(tx.shapes, name)
			}
		case want != nil && tx.stage != stageCleanUp:
			tx.shapes = append(tx.shapes, name)
			if k := rs.constants[name]; k != nil {
				tx.batch.AddSet(k.spec)
				tx.batch.AddElements(name, k.elements)
			} else if s := rs.sets[name]; s != nil {
				tx.batch.AddSet(s.spec)
				if s.kind != kindRows { // rows need the chains first
					tx.members(s)
				}
			}
		}
	})
	return dead
}

func (tx *transaction) addChains() {
	renamed := make(map[string]struct{}, len(tx.heirs))
	for _, h := range tx.heirs {
		renamed[h.from] = struct{}{}
	}
	tx.p.rules.chains.Pending(func(name string, want, have **chain) {
		_, no := tx.skip[name]
		_, goesOn := renamed[name]
		_, inherits := tx.heirs[name]
		switch {
		case goesOn:
		case no && have != nil && (*have).sum == sumRefused:
		case tx.stage == stagePrepare && (want == nil || have != nil || (*want).base != nil):
		case want == nil && tx.whole:
			tx.dead = append(tx.dead, name)
		case want != nil:
			tx.chains = append(tx.chains, name)
			if have == nil && !inherits || (*want).base != nil { // of a base chain that is there, this sets the policy
				tx.batch.AddChain(nftnl.Chain{Name: name, Base: (*want).base})
			}
		}
	})
}

// writeChain replaces a chain's rules; counters go on from where they are.
func (tx *transaction) writeChain(name string) {
	p := tx.p
	want, _ := p.rules.chains.Wanted(name)
	rules := want.rules
	if why, no := tx.skip[name]; no {
		rules = []rule{{action: decide(nftnl.Drop), label: fmt.Sprintf("refused: %v", why)}}
	}
	counters := make(map[string]Counter)
	inTable := name
	h, inherits := tx.heirs[name]
	if inherits {
		inTable = h.from
		tx.batch.RenameChain(h.handle, name)
	}
	if _, there := p.rules.chains.Actual(inTable); there {
		tx.batch.FlushChain(inTable)
		if old, err := p.conn.Rules(nftnl.Inet, table, inTable); err == nil { // else they begin at 0 again
			for _, r := range old {
				add(counters, identity(r.Comment), r)
			}
		}
	}
	for _, r := range rules {
		comment := r.comment()
		id := identity(comment)
		c := counters[id]
		delete(counters, id)
		tx.exprs = r.appendTo(tx.exprs[:0], c)
		tx.batch.AddRule(nftnl.Rule{Chain: inTable, Exprs: tx.exprs, Comment: comment})
	}
}

func (tx *transaction) members(s *set) {
	if _, no := tx.skip[s.spec.Name]; no {
		return
	}
	tx.add.reset()
	tx.remove.reset()
	if s.rewrite {
		tx.batch.FlushSet(s.spec.Name)
		for m := range s.members.AllWanted() {
			tx.add.add(s.kind, m)
		}
	} else {
		s.members.Pending(func(m member, want, _ *struct{}) {
			if want != nil {
				tx.add.add(s.kind, m)
			} else if tx.whole {
				tx.remove.add(s.kind, m)
			}
		})
	}
	tx.batch.DeleteElements(s.spec.Name, tx.remove.list)
	tx.batch.AddElements(s.spec.Name, tx.add.list)
	tx.changed = append(tx.changed, s)
}

func (tx *transaction) rows(s *set) {
	if _, no := tx.skip[s.spec.Name]; no {
		return
	}
	var add, remove []nftnl.Element
	s.rows.Pending(func(key string, want, have *string) {
		if want == nil && !tx.whole {
			return
		}
		if want != nil && have != nil {
			if h, inherits := tx.heirs[*want]; inherits && h.from == *have {
				return // the element leads to the chain, whatever its name
			}
		}
		if have != nil {
			remove = append(remove, s.row(key, *have))
		}
		if want != nil {
			add = append(add, s.row(key, *want))
		}
	})
	tx.batch.DeleteElements(s.spec.Name, remove)
	tx.batch.AddElements(s.spec.Name, add)
	tx.changed = append(tx.changed, s)
}

// row is the element of an interface: in a map its verdict is a jump to the chain, in an interval set the key is two keys.
func (s *set) row(key, chain string) nftnl.Element {
	e := nftnl.Element{Key: []byte(key)}
	if s.spec.Verdicts {
		e.Verdict = &nftnl.Verdict{Code: nftnl.Jump, Chain: chain}
	}
	if s.spec.Interval {
		e.Key, e.KeyEnd = []byte(key[:len(key)/2]), []byte(key[len(key)/2:])
	}
	return e
}

// done notes what the kernel now has.
func (tx *transaction) done() {
	rs := &tx.p.rules
	for _, name := range tx.shapes {
		rs.shapes.Done(name)
	}
	for _, name := range tx.chains {
		if why, no := tx.skip[name]; no {
			rs.chains.Observe(name, &chain{sum: sumRefused})
			rs.chains.Failed(name, why)
			continue
		}
		if h, inherits := tx.heirs[name]; inherits {
			rs.chains.ObserveGone(h.from)
		}
		rs.chains.Done(name)
	}
	for _, name := range tx.dead {
		rs.chains.Done(name)
	}
	for _, s := range tx.changed {
		s.rewrite = false
		if s.kind == kindRows {
			s.rows.Pending(func(key string, want, _ *string) {
				if want != nil || tx.whole {
					s.rows.Done(key)
				}
			})
		} else {
			s.members.Pending(func(m member, want, _ *struct{}) {
				if want != nil || tx.whole {
					s.members.Done(m)
				}
			})
		}
		if s.pending() == 0 && rs.sets[s.spec.Name] == s {
			delete(rs.touched, s.spec.Name)
		}
	}
}
