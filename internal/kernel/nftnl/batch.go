package nftnl

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Family is the family of a table.
type Family uint8

// The families in use; Inet holds rules for IPv4 and IPv6.
const (
	Inet Family = unix.NFPROTO_INET
	IPv4 Family = unix.NFPROTO_IPV4
	IPv6 Family = unix.NFPROTO_IPV6
)

// Hook is a place in the kernel's packet path.
type Hook uint32

// The hooks.
const (
	HookPrerouting  Hook = unix.NF_INET_PRE_ROUTING
	HookInput       Hook = unix.NF_INET_LOCAL_IN
	HookForward     Hook = unix.NF_INET_FORWARD
	HookOutput      Hook = unix.NF_INET_LOCAL_OUT
	HookPostrouting Hook = unix.NF_INET_POST_ROUTING
)

// Base is what makes a chain a base chain. Its policy is accept.
type Base struct {
	Type     string // "filter", "nat"
	Hook     Hook
	Priority int32
}

// Chain is a chain; Base is nil for one that rules jump to.
type Chain struct {
	Name   string
	Base   *Base
	Accept bool // the policy of a base chain, as a dump reads it
}

// Rule is a rule. Handle is the kernel's, in dumps.
type Rule struct {
	Chain   string
	Exprs   Expr
	Comment string // at most MaxComment bytes
	Handle  uint64
	Packets uint64 // of the rule's counter, in dumps
	Bytes   uint64
}

// MaxComment is the longest comment of a rule, as nft has it.
const MaxComment = 127

// operation is what one message of a batch does, for errors.
type operation struct{ verb, kind, name string }

func (o operation) String() string { return fmt.Sprintf("%s %s %s", o.verb, o.kind, o.name) }

// Batch is a transaction under construction. Objects must come before what refers to them.
type Batch struct {
	Family Family
	Table  string

	buf    []byte
	ops    []operation
	last   int    // offset of the last message
	newSet string // what the last message added, if that was a set
}

// NewBatch begins a transaction on one table.
func NewBatch(family Family, table string) *Batch {
	b := &Batch{Family: family, Table: table}
	b.begin(unix.NFNL_MSG_BATCH_BEGIN, 0)
	return b
}

// Len is the number of messages so far.
func (b *Batch) Len() int { return len(b.ops) }

// Size is the number of bytes so far.
func (b *Batch) Size() int { return len(b.buf) }

func (b *Batch) begin(typ, flags uint16) {
	var at int
	b.buf, at = appendHeader(b.buf, typ, unix.NLM_F_REQUEST|flags, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	b.buf = finish(b.buf, at)
}

// minRoom is enough for most messages, in bytes.
const minRoom = 1 << 10

// add appends a message. Sequence numbers count the operations from 1, relative to the batch's first; send makes them
// absolute.
func (b *Batch) add(op, flags uint16, what operation, body func(b []byte) []byte) {
	b.ops = append(b.ops, what)
	b.newSet = ""
	var at int
	b.last = len(b.buf)
	if cap(b.buf)-b.last < minRoom { // append would grow a big buffer by a quarter only, and copy it each time
		b.buf = slices.Grow(b.buf, max(b.last, minRoom))
	}
	b.buf, at = appendHeader(b.buf, nftType(op), unix.NLM_F_REQUEST|flags, uint32(len(b.ops)), uint8(b.Family), 0)
	b.buf = finish(body(b.buf), at)
}

// AddTable makes the table, or wakes it if it is dormant.
func (b *Batch) AddTable() {
	b.add(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, operation{"add", "table", b.Table}, func(m []byte) []byte {
		m = appendString(m, unix.NFTA_TABLE_NAME, b.Table)
		return appendU32(m, unix.NFTA_TABLE_FLAGS, 0)
	})
}

// DeleteTable removes the table, which must exist, with all that is in it.
func (b *Batch) DeleteTable() {
	b.add(unix.NFT_MSG_DELTABLE, 0, operation{"delete", "table", b.Table}, func(m []byte) []byte {
		return appendString(m, unix.NFTA_TABLE_NAME, b.Table)
	})
}

// AddChain makes a chain, if need be. A base chain's policy is accept.
func (b *Batch) AddChain(c Chain) {
	b.add(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, operation{"add", "chain", c.Name}, func(m []byte) []byte {
		m = appendString(m, unix.NFTA_CHAIN_TABLE, b.Table)
		m = appendString(m, unix.NFTA_CHAIN_NAME, c.Name)
		if c.Base == nil {
			return m
		}
		m, at := openNest(m, unix.NFTA_CHAIN_HOOK)
		m = appendU32(m, unix.NFTA_HOOK_HOOKNUM, uint32(c.Base.Hook))
		m = appendU32(m, unix.NFTA_HOOK_PRIORITY, uint32(c.Base.Priority))
		m = closeNest(m, at)
		m = appendU32(m, unix.NFTA_CHAIN_POLICY, uint32(Accept))
		return appendString(m, unix.NFTA_CHAIN_TYPE, c.Base.Type)
	})
}

// RenameChain gives a chain, named by its handle, another name that no chain has. Until the batch is committed it is still
// found by its old name only.
func (b *Batch) RenameChain(handle uint64, name string) {
	b.add(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, operation{"rename", "chain", name}, func(m []byte) []byte {
		m = appendString(m, unix.NFTA_CHAIN_TABLE, b.Table)
		m = appendU64(m, unix.NFTA_CHAIN_HANDLE, handle)
		return appendString(m, unix.NFTA_CHAIN_NAME, name)
	})
}

// DeleteChain removes a chain that is empty and that nothing refers to.
func (b *Batch) DeleteChain(name string) {
	b.add(unix.NFT_MSG_DELCHAIN, 0, operation{"delete", "chain", name}, func(m []byte) []byte {
		m = appendString(m, unix.NFTA_CHAIN_TABLE, b.Table)
		return appendString(m, unix.NFTA_CHAIN_NAME, name)
	})
}

// FlushChain removes the rules of a chain that exists, which may be one that this batch adds.
func (b *Batch) FlushChain(name string) {
	b.add(unix.NFT_MSG_DELRULE, 0, operation{"flush", "chain", name}, func(m []byte) []byte {
		m = appendString(m, unix.NFTA_RULE_TABLE, b.Table)
		return appendString(m, unix.NFTA_RULE_CHAIN, name)
	})
}

// AddRule appends a rule to its chain.
func (b *Batch) AddRule(r Rule) {
	what := operation{"add", "rule", r.Chain}
	b.add(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, what, func(m []byte) []byte {
		m = appendString(m, unix.NFTA_RULE_TABLE, b.Table)
		m = appendString(m, unix.NFTA_RULE_CHAIN, r.Chain)
		m, at := openNest(m, unix.NFTA_RULE_EXPRESSIONS)
		m = append(m, r.Exprs...)
		m = closeNest(m, at)
		if r.Comment != "" {
			m = appendAttr(m, unix.NFTA_RULE_USERDATA, commentData(r.Comment))
		}
		return m
	})
}

// commentData is a comment as nft stores it: type 0, length, text with a NUL.
func commentData(text string) []byte {
	if len(text) > MaxComment {
		text = text[:MaxComment]
	}
	return append(append([]byte{0, byte(len(text) + 1)}, text...), 0)
}

func parseComment(b []byte) string {
	for len(b) >= 2 {
		n := int(b[1])
		if len(b) < 2+n {
			return ""
		}
		if b[0] == 0 {
			return attrString(b[2 : 2+n])
		}
		b = b[2+n:]
	}
	return ""
}

// Error is the refusal of one operation of a transaction, of which nothing was done.
type Error struct {
	Table                 string
	Operation, Kind, Name string // "add" "rule" and the chain, "add" "element" and the set …
	Err                   error
}

func (e *Error) Error() string {
	return fmt.Sprintf("nftables table %s: %s %s %s: %v", e.Table, e.Operation, e.Kind, e.Name, e.Err)
}

// Unwrap is the kernel's error number.
func (e *Error) Unwrap() error { return e.Err }

// Send commits the batch: all of it, or nothing and an error that joins an *Error for each operation refused. An empty
// batch is not sent.
func (c *Conn) Send(b *Batch) error {
	if len(b.ops) == 0 {
		return nil
	}
	native.PutUint16(b.buf[b.last+6:], native.Uint16(b.buf[b.last+6:])|unix.NLM_F_ACK)
	b.begin(unix.NFNL_MSG_BATCH_END, 0)
	first := c.seq + 1
	c.seq += uint32(len(b.ops)) + 1
	for at := 0; at < len(b.buf); at += align4(int(native.Uint32(b.buf[at:]))) {
		seq := native.Uint32(b.buf[at+8:])
		native.PutUint32(b.buf[at+8:], first+seq)
	}
	c.messages += uint64(len(b.ops))
	c.bytes += uint64(len(b.buf))
	if err := c.send(b.buf); err != nil {
		return fmt.Errorf("nftables table %s: send transaction of %d messages, %d bytes: %w", b.Table, len(b.ops), len(b.buf), err)
	}
	return c.outcome(b, first)
}

// maxRefusals bounds how many refused operations one error names.
const maxRefusals = 50

// outcome reads the answer. A failed commit is answered first, with the sequence number of the batch's begin.
func (c *Conn) outcome(b *Batch, first uint32) error {
	if err := c.sock.SetReadDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	var refused []error
	end := first + uint32(len(b.ops))
	for done := false; !done; {
		data, err := c.receive()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("no answer from the kernel for %v", replyTimeout)
			}
			return errors.Join(append(refused, fmt.Errorf("nftables table %s: read outcome: %w", b.Table, err))...)
		}
		each(data, func(m message) bool {
			if m.typ != unix.NLMSG_ERROR || m.seq < first || m.seq > end {
				return true
			}
			failure := m.failure()
			if failure != nil && len(refused) < maxRefusals {
				op := operation{"commit", "transaction", fmt.Sprintf("of %d messages", len(b.ops))}
				if n := int(m.seq - first); n > 0 {
					op = b.ops[n-1]
				}
				refused = append(refused, &Error{Table: b.Table, Operation: op.verb, Kind: op.kind, Name: op.name, Err: failure})
			}
			done = done || m.seq == end || m.seq == first
			return true
		})
	}
	return errors.Join(refused...)
}
