package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// What plan.add says besides real errors: the transaction is full, or what was planned is out of date.
var (
	errFull  = errors.New("transaction full")
	errAgain = errors.New("plan again")
)

// plan is one transaction in the making. Its drafts start from what the allocator holds; the allocator learns of them
// only when they are written.
type plan struct {
	*Allocator
	ctx       context.Context
	in        *Inputs
	now       time.Time
	drafts    map[netip.Prefix]*draft
	order     []*draft
	handles   map[string]*handleDraft
	horder    []*handleDraft
	extras    []extra
	keys      map[model.Key]bool // of extras
	outcomes  []outcome
	ops       int            // that the transaction will hold so far
	listing   []store.Object // every block, read at most once per plan
	fresh     bool           // listing was read
	rechecked bool
}

// draft is a block as the plan wants it.
type draft struct {
	held
	created bool // does not exist in the store yet
	counted bool // in plan.ops; else it is only looked at
}

type handleDraft struct {
	handleAt
	id      string
	written *model.Handle // what to write; no blocks: delete
	counted bool
}

type extra struct {
	op   store.Op
	call *call
}

type outcome struct {
	call  *call
	addrs []netip.Addr
}

func newPlan(ctx context.Context, a *Allocator) *plan {
	return &plan{
		Allocator: a, ctx: ctx, in: a.inputs.Load(), now: a.options.Clock(),
		drafts: map[netip.Prefix]*draft{}, handles: map[string]*handleDraft{}, keys: map[model.Key]bool{},
	}
}

func (p *plan) add(c *call) error {
	if c.release != nil {
		return p.release(c)
	}
	return p.assign(c)
}

// draftOf is the draft of a block that exists, its expired addresses freed.
func (p *plan) draftOf(h held) *draft {
	if d, ok := p.drafts[h.cidr]; ok {
		return d
	}
	d := &draft{held: h}
	d.block = h.block.Clone()
	p.expire(d.block)
	p.keep(d)
	return d
}

func (p *plan) expire(b *model.Block) {
	if cooling(b) {
		expire(b, p.expired(p.now))
	}
}

func (p *plan) keep(d *draft) {
	p.drafts[d.cidr] = d
	p.order = append(p.order, d)
}

// read is the draft of any block, ours or not; nil when it does not exist.
func (p *plan) read(cidr netip.Prefix) (*draft, error) {
	if d, ok := p.drafts[cidr]; ok {
		return d, nil
	}
	for _, h := range p.own {
		if h.cidr == cidr {
			return p.draftOf(*h), nil
		}
	}
	block, revision, err := p.getBlock(p.ctx, cidr)
	if err != nil || block == nil {
		return nil, err
	}
	if block.Affinity == p.affinity { // one of ours that we did not know
		h, err := p.adopt(p.ctx, block, revision)
		if err != nil {
			return nil, err
		}
		return p.draftOf(*h), nil
	}
	return p.draftOf(held{cidr: cidr, block: block, revision: revision}), nil
}

// pick is an address about to be assigned.
type pick struct {
	*draft
	ordinal int
}

func (p *plan) assign(c *call) error {
	picks, err := p.choose(c.assign)
	if err != nil {
		if errors.Is(err, errAgain) || errors.Is(err, errFull) {
			return err
		}
		return fmt.Errorf("assign to %q: %w", c.assign.Handle, err)
	}
	addrs := make([]netip.Addr, len(picks))
	blocks := make([]*draft, len(picks))
	for i, k := range picks {
		addrs[i], blocks[i] = k.block.Addr(k.ordinal), k.draft
	}
	var extras []store.Op
	if c.assign.Extra != nil {
		extras = c.assign.Extra(addrs)
	}
	handle, err := p.handleOf(c.assign.Handle, false)
	if err != nil {
		return fmt.Errorf("assign to %q: %w", c.assign.Handle, err)
	}
	if err := p.reserve(c, blocks, handle, extras); err != nil {
		return err
	}
	for _, k := range picks {
		allocate(k.block, k.ordinal, c.owner)
		if handle != nil {
			handle.written.Blocks[k.cidr]++
		}
	}
	p.outcomes = append(p.outcomes, outcome{c, addrs})
	return nil
}

// reserve makes room in the transaction for what one call writes, whole or not at all.
func (p *plan) reserve(c *call, blocks []*draft, handle *handleDraft, extras []store.Op) error {
	more := len(extras)
	counted := make(map[*draft]bool, len(blocks))
	for _, d := range blocks {
		if !d.counted && !counted[d] {
			counted[d] = true
			more++
			if d.created {
				more++ // its affinity
			}
		}
	}
	if handle != nil && !handle.counted {
		more++
	}
	full := p.ops > 0 && p.ops+more > maxOps
	for _, op := range extras {
		full = full || p.keys[op.Key] // a key stands once in a transaction
	}
	if full {
		return errFull
	}
	p.ops += more
	for d := range counted {
		d.counted = true
	}
	if handle != nil {
		handle.counted = true
	}
	for _, op := range extras {
		p.keys[op.Key] = true
		p.extras = append(p.extras, extra{op, c})
	}
	return nil
}

// handleOf is the draft of a handle, nil when handles are not kept. Without read, one that is not known is taken for
// new: the transaction tells if it is not.
func (p *plan) handleOf(id string, read bool) (*handleDraft, error) {
	if !p.options.Handles {
		return nil, nil
	}
	if h, ok := p.handles[id]; ok {
		return h, nil
	}
	at, known := p.Allocator.handles[id]
	if !known && read {
		o, err := p.get(p.ctx, handleKey(id))
		if err != nil {
			return nil, err
		}
		at.handle, _ = o.Value.(*model.Handle)
		at.revision = o.Revision
	}
	h := &handleDraft{handleAt: at, id: id, written: &model.Handle{ID: id, Blocks: map[netip.Prefix]int{}}}
	if at.handle != nil {
		maps.Copy(h.written.Blocks, at.handle.Blocks)
	}
	p.handles[id] = h
	p.horder = append(p.horder, h)
	return h, nil
}

// write does the transaction, and brings the allocator's memory up to date: with what was written, or by forgetting what
// a conflict or a missing answer made doubtful.
func (p *plan) write() (conflict bool, err error) {
	if !p.store.Transactional() {
		for _, d := range p.order {
			if d.created && d.counted {
				if err := p.claimInSteps(p.ctx, d); err != nil {
					return errors.Is(err, errAgain), err
				}
			}
		}
	}
	ops := p.operations()
	if len(ops) == 0 {
		return false, nil
	}
	revision, err := p.transact(p.ctx, "commit", ops...)
	if err == nil {
		p.remember(revision)
		return false, nil
	}
	p.forget()
	key, conflict := isConflict(err)
	if !conflict {
		return false, fmt.Errorf("ipam: write: %w", err)
	}
	return p.resolve(key, err)
}

// operations lists the writes in an order that is safe to be cut off anywhere on stores without transactions: a handle
// before the addresses it counts, what goes with an address after it, a handle's removal last.
func (p *plan) operations() []store.Op {
	var ops, last []store.Op
	for _, h := range p.horder {
		switch {
		case !h.counted:
		case len(h.written.Blocks) == 0:
			if h.handle != nil {
				last = append(last, store.Op{Kind: store.OpDelete, Key: handleKey(h.id), Revision: h.revision})
			}
		case h.handle == nil:
			ops = append(ops, store.Op{Kind: store.OpCreate, Key: handleKey(h.id), Value: h.written})
		default:
			ops = append(ops, store.Op{Kind: store.OpUpdate, Key: handleKey(h.id), Value: h.written, Revision: h.revision})
		}
	}
	for _, d := range p.order {
		if d.counted {
			ops = append(ops, p.blockOps(d)...)
		}
	}
	for _, e := range p.extras {
		ops = append(ops, e.op)
	}
	return append(ops, last...)
}

func (p *plan) blockOps(d *draft) []store.Op {
	key := blockKey(d.cidr)
	if d.block.Affinity == "" && unused(d.block) { // an orphan lives as long as its addresses
		return []store.Op{{Kind: store.OpDelete, Key: key, Revision: d.revision}}
	}
	d.block.SequenceNumber++
	if !d.created {
		return []store.Op{{Kind: store.OpUpdate, Key: key, Value: d.block, Revision: d.revision}}
	}
	return []store.Op{
		{Kind: store.OpPut, Key: affinityKey(p.affinity, d.cidr), Value: p.affinityTo(d.cidr, model.AffinityConfirmed)},
		{Kind: store.OpCreate, Key: key, Value: d.block},
	}
}
