package nftnl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Generation is the number that each committed transaction of the namespace, anybody's, raises.
func (c *Conn) Generation() (uint32, error) {
	var gen uint32
	err := c.request(unix.NFT_MSG_GETGEN, unix.NLM_F_REQUEST, unix.AF_UNSPEC, nil, func(m message) {
		gen = attrU32(attr(m.body(), unix.NFTA_GEN_ID))
	})
	if err != nil {
		return 0, fmt.Errorf("read nftables generation: %w", err)
	}
	return gen, nil
}

// TableState is what a table is.
type TableState struct{ Exists, Dormant bool }

// Table reads whether a table is there.
func (c *Conn) Table(family Family, table string) (TableState, error) {
	var state TableState
	err := c.request(unix.NFT_MSG_GETTABLE, unix.NLM_F_REQUEST, uint8(family),
		appendString(nil, unix.NFTA_TABLE_NAME, table), func(m message) {
			state.Exists = true
			state.Dormant = attrU32(attr(m.body(), unix.NFTA_TABLE_FLAGS))&unix.NFT_TABLE_F_DORMANT != 0
		})
	if errors.Is(err, unix.ENOENT) {
		return TableState{}, nil
	}
	if err != nil {
		return TableState{}, fmt.Errorf("read nftables table %s: %w", table, err)
	}
	return state, nil
}

// Chains reads the chains of a table.
func (c *Conn) Chains(family Family, table string) ([]Chain, error) {
	var chains []Chain
	err := c.dump(unix.NFT_MSG_GETCHAIN, uint8(family), appendString(nil, unix.NFTA_CHAIN_TABLE, table),
		func() { chains = nil },
		func(m message) {
			var chain Chain
			ours := false
			for typ, data := range attrs(m.body()) {
				switch typ {
				case unix.NFTA_CHAIN_TABLE:
					ours = attrString(data) == table
				case unix.NFTA_CHAIN_NAME:
					chain.Name = attrString(data)
				case unix.NFTA_CHAIN_POLICY:
					chain.Accept = VerdictCode(attrU32(data)) == Accept
				case unix.NFTA_CHAIN_TYPE:
					chain.base().Type = attrString(data)
				case unix.NFTA_CHAIN_HOOK:
					chain.base().Hook = Hook(attrU32(attr(data, unix.NFTA_HOOK_HOOKNUM)))
					chain.base().Priority = int32(attrU32(attr(data, unix.NFTA_HOOK_PRIORITY)))
				}
			}
			if ours { // older kernels do not filter chains by table
				chains = append(chains, chain)
			}
		})
	if err != nil {
		return nil, fmt.Errorf("read chains of nftables table %s: %w", table, err)
	}
	return chains, nil
}

// ChainHandle reads the kernel's number for a chain.
func (c *Conn) ChainHandle(family Family, table, chain string) (uint64, error) {
	body := appendString(nil, unix.NFTA_CHAIN_TABLE, table)
	body = appendString(body, unix.NFTA_CHAIN_NAME, chain)
	var handle uint64
	err := c.request(unix.NFT_MSG_GETCHAIN, unix.NLM_F_REQUEST, uint8(family), body, func(m message) {
		handle = attrU64(attr(m.body(), unix.NFTA_CHAIN_HANDLE))
	})
	if err != nil {
		return 0, fmt.Errorf("read handle of nftables table %s chain %s: %w", table, chain, err)
	}
	return handle, nil
}

func (c *Chain) base() *Base {
	if c.Base == nil {
		c.Base = &Base{}
	}
	return c.Base
}

// Rules reads the rules of a chain or, if chain is empty, of the whole table, in order within each chain; of the
// expressions only the counter. A chain that does not exist has none.
func (c *Conn) Rules(family Family, table, chain string) ([]Rule, error) {
	body := appendString(nil, unix.NFTA_RULE_TABLE, table)
	if chain != "" {
		body = appendString(body, unix.NFTA_RULE_CHAIN, chain)
	}
	var rules []Rule
	err := c.dump(unix.NFT_MSG_GETRULE, uint8(family), body,
		func() { rules = nil },
		func(m message) {
			var r Rule
			for typ, data := range attrs(m.body()) {
				switch typ {
				case unix.NFTA_RULE_CHAIN:
					r.Chain = attrString(data)
				case unix.NFTA_RULE_HANDLE:
					r.Handle = attrU64(data)
				case unix.NFTA_RULE_EXPRESSIONS:
					r.Packets, r.Bytes = findCounter(data)
				case unix.NFTA_RULE_USERDATA:
					r.Comment = parseComment(data)
				}
			}
			rules = append(rules, r)
		})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read rules of nftables table %s chain %q: %w", table, chain, err)
	}
	return rules, nil
}

func findCounter(exprs []byte) (packets, bytes uint64) {
	for _, e := range attrs(exprs) {
		if attrString(attr(e, unix.NFTA_EXPR_NAME)) == "counter" {
			data := attr(e, unix.NFTA_EXPR_DATA)
			return attrU64(attr(data, unix.NFTA_COUNTER_PACKETS)), attrU64(attr(data, unix.NFTA_COUNTER_BYTES))
		}
	}
	return 0, 0
}

// Sets reads the named sets of a table: name → shape.
func (c *Conn) Sets(family Family, table string) (map[string]SetShape, error) {
	sets := make(map[string]SetShape)
	err := c.dump(unix.NFT_MSG_GETSET, uint8(family), appendString(nil, unix.NFTA_SET_TABLE, table),
		func() { clear(sets) },
		func(m message) {
			var name string
			var s SetShape
			for typ, data := range attrs(m.body()) {
				switch typ {
				case unix.NFTA_SET_NAME:
					name = attrString(data)
				case unix.NFTA_SET_FLAGS:
					s.Flags = attrU32(data)
				case unix.NFTA_SET_KEY_TYPE:
					s.KeyMagic = attrU32(data)
				case unix.NFTA_SET_KEY_LEN:
					s.KeyLength = int(attrU32(data))
				}
			}
			if s.Flags&unix.NFT_SET_ANONYMOUS == 0 {
				sets[name] = s
			}
		})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read sets of nftables table %s: %w", table, err)
	}
	return sets, nil
}

// Elements calls do for each element of a set; its slices are valid only during the call. reset is called before the
// first, and again if the dump must begin anew.
//
// A hash set that has just grown is re-arranged by the kernel in the background. A dump that this overtakes gives some
// elements twice and as many others not at all, and nothing else tells: a caller that sees an element twice must ask again.
func (c *Conn) Elements(family Family, table, set string, reset func(), do func(Element)) error {
	body := appendString(nil, unix.NFTA_SET_ELEM_LIST_TABLE, table)
	body = appendString(body, unix.NFTA_SET_ELEM_LIST_SET, set)
	err := c.dump(unix.NFT_MSG_GETSETELEM, uint8(family), body, reset, func(m message) {
		for typ, list := range attrs(m.body()) {
			if typ != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				continue
			}
			for _, data := range attrs(list) {
				do(parseElement(data))
			}
		}
	})
	if err != nil {
		return fmt.Errorf("read elements of nftables table %s set %s: %w", table, set, err)
	}
	return nil
}

func parseElement(data []byte) Element {
	const keyEnd = 10
	var e Element
	for typ, v := range attrs(data) {
		switch typ {
		case unix.NFTA_SET_ELEM_KEY:
			e.Key = attr(v, unix.NFTA_DATA_VALUE)
		case keyEnd:
			e.KeyEnd = attr(v, unix.NFTA_DATA_VALUE)
		case unix.NFTA_SET_ELEM_FLAGS:
			e.End = attrU32(v)&unix.NFT_SET_ELEM_INTERVAL_END != 0
		case unix.NFTA_SET_ELEM_DATA:
			if verdict := attr(v, unix.NFTA_DATA_VERDICT); verdict != nil {
				e.Verdict = &Verdict{
					Code:  VerdictCode(int32(attrU32(attr(verdict, unix.NFTA_VERDICT_CODE)))),
					Chain: attrString(attr(verdict, unix.NFTA_VERDICT_CHAIN)),
				}
			}
		}
	}
	return e
}
