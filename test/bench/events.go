package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/kernel"
)

// watcher hears the kernel's notifications of nftables changes in a namespace: they are sent when a transaction has been
// committed, so what they name is in force.
type watcher struct {
	fd    int
	wants chan want
	seen  chan time.Time
}

// want is a message of a type that holds some bytes.
type want struct {
	typ    uint16
	needle []byte
}

func watch(ns *kernel.Namespace) (*watcher, error) {
	w := &watcher{wants: make(chan want, 1), seen: make(chan time.Time, 1)}
	err := ns.Do(func() (err error) {
		if w.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		return unix.Bind(w.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)})
	})
	if err != nil {
		return nil, fmt.Errorf("listen to nftables: %w", err)
	}
	_ = unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	_ = unix.SetsockoptInt(w.fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1)
	_ = unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000})
	go w.run()
	return w, nil
}

// expect tells what to look for next; its time comes on seen.
func (w *watcher) expect(typ uint16, needle []byte) {
	select {
	case <-w.seen:
	default:
	}
	w.wants <- want{typ, needle}
}

func (w *watcher) wait(limit time.Duration) (time.Time, error) {
	select {
	case at := <-w.seen:
		return at, nil
	case <-time.After(limit):
		return time.Time{}, fmt.Errorf("the kernel did not tell of the change within %v", limit)
	}
}

func (w *watcher) run() {
	defer unix.Close(w.fd)
	buf := make([]byte, 1<<20)
	var now want
	for {
		n, err := unix.Read(w.fd, buf)
		at := time.Now()
		select {
		case next, open := <-w.wants:
			if !open {
				return
			}
			now = next
		default:
		}
		if err != nil || now.needle == nil {
			continue
		}
		if holds(buf[:n], now) {
			now = want{}
			w.seen <- at
		}
	}
}

func (w *watcher) close() { close(w.wants) }

// holds says whether one of the messages is of the type and has the bytes in it.
func holds(data []byte, w want) bool {
	for len(data) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(data))
		if size < unix.NLMSG_HDRLEN || size > len(data) {
			return false
		}
		typ := binary.NativeEndian.Uint16(data[4:])
		if typ == unix.NFNL_SUBSYS_NFTABLES<<8|w.typ && bytes.Contains(data[unix.NLMSG_HDRLEN:size], w.needle) {
			return true
		}
		data = data[min((size+3)&^3, len(data)):]
	}
	return false
}
