package nftnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Watch tells when others than one socket change a table.
type Watch struct {
	sock   *netlink.Conn
	closed atomic.Bool
}

// OpenWatch subscribes to the changes of a network namespace (as Open names it), but for those that come from the socket
// with the port ID own: they are filtered out in the kernel, so that a load of our own cannot overrun the socket.
func OpenWatch(nsfd int, own uint32) (*Watch, error) {
	sock, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: nsfd})
	if err != nil {
		return nil, fmt.Errorf("open netfilter notification socket: %w", err)
	}
	fail := func(doing string, err error) (*Watch, error) {
		return nil, errors.Join(fmt.Errorf("netfilter notification socket: %s: %w", doing, err), sock.Close())
	}
	if err := sock.SetReadBuffer(bufferSize); err != nil {
		return fail("set buffer", err)
	}
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 4}, // nlmsg_pid; the load is big endian, the field in host order
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(native.AppendUint32(nil, own)), SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 30},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return fail("assemble filter", err)
	}
	if err := sock.SetBPF(filter); err != nil {
		return fail("set filter", err)
	}
	if err := sock.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return fail("join group", err)
	}
	return &Watch{sock: sock}, nil
}

// Close ends the watch; Run returns.
func (w *Watch) Close() error {
	w.closed.Store(true)
	return w.sock.Close()
}

// watchBuffer holds any notification: the kernel fills datagrams of at most 8 KiB with them.
const watchBuffer = 64 << 10

// Run calls touched, for each transaction of somebody else that changed the table, with words for people: what was done
// first, and which process did it. It calls it with "overrun" when notifications were lost: the socket is left to report
// ENOBUFS for this, since with NETLINK_NO_ENOBUFS a loss would be silent. It returns nil after Close.
func (w *Watch) Run(family Family, table string, touched func(what string)) error {
	buf := make([]byte, watchBuffer)
	what := ""
	for {
		data, err := receive(w.sock, buf)
		switch {
		case w.closed.Load():
			return nil
		case errors.Is(err, unix.ENOBUFS):
			touched("overrun: notifications of nftables changes were lost")
			continue
		case err != nil:
			return fmt.Errorf("read nftables notifications: %w", err)
		}
		each(data, func(m message) bool {
			if m.typ == nftType(unix.NFT_MSG_NEWGEN) {
				if what != "" {
					process := attrString(attr(m.body(), unix.NFTA_GEN_PROC_NAME))
					touched(fmt.Sprintf("%s by process %s (pid %d)", what, process, attrU32(attr(m.body(), unix.NFTA_GEN_PROC_PID))))
					what = ""
				}
				return true
			}
			if what == "" && len(m.raw) >= familyHeader && Family(m.raw[0]) == family {
				what = describe(m, table)
			}
			return true
		})
	}
}

// describe names a change if it is of the table. The first attribute of all these messages is the table's name.
func describe(m message, table string) string {
	const first = 1
	if attrString(attr(m.body(), first)) != table {
		return ""
	}
	name := func(typ uint16) string { return attrString(attr(m.body(), typ)) }
	switch m.typ &^ (unix.NFNL_SUBSYS_NFTABLES << 8) {
	case unix.NFT_MSG_NEWTABLE:
		return "table changed"
	case unix.NFT_MSG_DELTABLE:
		return "table deleted"
	case unix.NFT_MSG_NEWCHAIN:
		return "chain " + name(unix.NFTA_CHAIN_NAME) + " added or changed"
	case unix.NFT_MSG_DELCHAIN:
		return "chain " + name(unix.NFTA_CHAIN_NAME) + " deleted"
	case unix.NFT_MSG_NEWRULE:
		return "rule added to chain " + name(unix.NFTA_RULE_CHAIN)
	case unix.NFT_MSG_DELRULE:
		return "rule deleted from chain " + name(unix.NFTA_RULE_CHAIN)
	case unix.NFT_MSG_NEWSET:
		return "set " + name(unix.NFTA_SET_NAME) + " added"
	case unix.NFT_MSG_DELSET:
		return "set " + name(unix.NFTA_SET_NAME) + " deleted"
	case unix.NFT_MSG_NEWSETELEM:
		return "element added to set " + name(unix.NFTA_SET_ELEM_LIST_SET)
	case unix.NFT_MSG_DELSETELEM:
		return "element deleted from set " + name(unix.NFTA_SET_ELEM_LIST_SET)
	}
	return "object changed"
}
