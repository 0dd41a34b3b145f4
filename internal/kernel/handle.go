package kernel

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Handle speaks rtnetlink in one network namespace, wherever the calling goroutine is. Safe for concurrent use.
type Handle struct {
	nl  *netlink.Handle
	raw *conn
	ns  *Namespace // nil: the process's own; not the Handle's to close
}

// Open makes a handle in a namespace; nil: the process's own. The namespace must stay open while AddVeth or Sysctls
// are used.
func Open(ns *Namespace) (*Handle, error) {
	h := &Handle{ns: ns}
	// One visit for both sockets: each costs a thread.
	err := within(ns, func() (err error) {
		if h.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
		if err = h.nl.SetSocketTimeout(answerSeconds * time.Second); err != nil {
			err = fmt.Errorf("open rtnetlink: %w", err)
		} else {
			h.raw, err = dial(nil)
		}
		if err != nil {
			h.nl.Close()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Close lets go of the sockets.
func (h *Handle) Close() {
	h.nl.Close()
	h.raw.close()
}

// Sender is what notifications of this handle's route and neighbour writes carry as Event.Sender.
func (h *Handle) Sender() uint32 { return h.raw.pid }

// Sysctls are the settings of the handle's namespace.
func (h *Handle) Sysctls() Sysctls { return Sysctls{Namespace: h.ns} }

// repeat calls fn again while the kernel was interrupted.
func repeat(fn func() error) error {
	var err error
	for range dumpAttempts {
		err = fn()
		if !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return err
}
