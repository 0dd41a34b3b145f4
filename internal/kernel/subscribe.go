package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Group is a kind of notification.
type Group uint32

// The groups. IPv6 ones are silent when the kernel has no IPv6.
const (
	GroupLinks      Group = unix.RTNLGRP_LINK
	GroupRoutes4    Group = unix.RTNLGRP_IPV4_ROUTE
	GroupRoutes6    Group = unix.RTNLGRP_IPV6_ROUTE
	GroupNeighbours Group = unix.RTNLGRP_NEIGH
	GroupAddresses4 Group = unix.RTNLGRP_IPV4_IFADDR
	GroupAddresses6 Group = unix.RTNLGRP_IPV6_IFADDR
)

// Event is one notification; exactly one of Link, Route, Neighbour is set, none for a change of an address.
type Event struct {
	Gone      bool   // it was removed
	Sender    uint32 // Handle.Sender of who caused it; 0: the kernel itself, or not told
	Link      *Link
	Route     *Route
	Neighbour *Neighbour
	Address   bool
}

// ErrOverrun says that notifications were lost: only a whole comparison tells what changed.
var ErrOverrun = errors.New("notifications were lost")

// Subscription receives notifications of one namespace.
type Subscription struct {
	file  *os.File
	ended atomic.Bool // the file's own error for this cannot be told from others
	buf   []byte
}

// Subscribe begins; ns nil: the process's own namespace. What changes after it returned is told, but not what the
// handle with Sender own (0: none) caused: the kernel drops that before it takes room in the queue.
func Subscribe(ns *Namespace, own uint32, groups ...Group) (*Subscription, error) {
	var fd int
	err := within(ns, func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to rtnetlink: %w", err)
	}
	growReceiveBuffer(fd, receiveBytes)
	if own != 0 {
		if err := ignoreSender(fd, own); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("subscribe to rtnetlink: attach filter: %w", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("subscribe to rtnetlink: %w", err)
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(g)); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("subscribe to rtnetlink group %d: %w", g, err)
		}
	}
	return &Subscription{file: os.NewFile(uintptr(fd), "rtnetlink"), buf: make([]byte, 128<<10)}, nil
}

// ignoreSender attaches a classic BPF program: drop if the word at offset 12 of the header (nlmsg_pid) is sender. BPF
// loads words in network byte order, netlink writes them in the host's.
func ignoreSender(fd int, sender uint32) error {
	var raw [4]byte
	binary.NativeEndian.PutUint32(raw[:], sender)
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: binary.BigEndian.Uint32(raw[:]), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// Close ends Receive.
func (s *Subscription) Close() error {
	s.ended.Store(true)
	return s.file.Close()
}

// Receive waits for the next notifications. ErrOverrun: some were lost, go on. net.ErrClosed: Close was called.
func (s *Subscription) Receive() ([]Event, error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return nil, s.closed(err)
	}
	var n int
	var from unix.Sockaddr
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, from, failed = unix.Recvfrom(int(fd), s.buf, unix.MSG_TRUNC)
		return !errors.Is(failed, unix.EAGAIN) && !errors.Is(failed, unix.EINTR)
	})
	switch {
	case err != nil:
		return nil, s.closed(err)
	case errors.Is(failed, unix.ENOBUFS) || n > len(s.buf):
		return nil, ErrOverrun
	case failed != nil:
		return nil, fmt.Errorf("receive rtnetlink notifications: %w", failed)
	}
	if sa, ok := from.(*unix.SockaddrNetlink); ok && sa.Pid != 0 {
		return nil, nil
	}
	var events []Event
	err = splitMessages(s.buf[:n], func(h unix.NlMsghdr, data []byte) bool {
		if e, ok := decodeEvent(h, data); ok {
			events = append(events, e)
		}
		return true
	})
	return events, err
}

func (s *Subscription) closed(err error) error {
	if s.ended.Load() {
		return net.ErrClosed
	}
	return fmt.Errorf("receive rtnetlink notifications: %w", err)
}

func decodeEvent(h unix.NlMsghdr, data []byte) (Event, bool) {
	e := Event{Sender: h.Pid}
	switch h.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(data) < unix.SizeofIfInfomsg {
			return e, false
		}
		l, err := netlink.LinkDeserialize(&h, append([]byte(nil), data...))
		if err != nil {
			return e, false
		}
		link := fromNetlink(l)
		e.Link, e.Gone = &link, h.Type == unix.RTM_DELLINK
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		r, err := decodeRoute(data)
		if err != nil || r.Table != TableMain {
			return e, false
		}
		e.Route, e.Gone = &r, h.Type == unix.RTM_DELROUTE
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		n, err := decodeNeighbour(data)
		if err != nil {
			return e, false
		}
		e.Neighbour, e.Gone = &n, h.Type == unix.RTM_DELNEIGH
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		e.Address, e.Gone = true, h.Type == unix.RTM_DELADDR
	default:
		return e, false
	}
	return e, true
}
