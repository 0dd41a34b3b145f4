package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is a network interface.
type Link struct {
	Index   int
	Name    string
	Type    string // "veth", "loopback", "device", …
	MAC     string // lower case with colons; empty where the type has none
	MTU     int
	Up      bool // administratively
	Running bool // has carrier
	Peer    int  // index of the other end or the lower device, in its own namespace; 0: none
}

// ErrNoLink is the reason when an interface does not exist.
var ErrNoLink = errors.New("no such interface")

func fromNetlink(l netlink.Link) Link {
	a := l.Attrs()
	return Link{
		Index: a.Index, Name: a.Name, Type: l.Type(), MAC: a.HardwareAddr.String(), MTU: a.MTU,
		Up: a.Flags&net.FlagUp != 0, Running: a.RawFlags&unix.IFF_LOWER_UP != 0, Peer: a.ParentIndex,
	}
}

// Links lists every interface.
func (h *Handle) Links() ([]Link, error) {
	var found []netlink.Link
	err := repeat(func() (err error) {
		found, err = h.nl.LinkList()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	links := make([]Link, 0, len(found))
	for _, l := range found {
		links = append(links, fromNetlink(l))
	}
	return links, nil
}

// Link returns the interface of that name; errors.Is(err, ErrNoLink) when there is none.
func (h *Handle) Link(name string) (Link, error) {
	l, err := h.link(name)
	if err != nil {
		return Link{}, err
	}
	return fromNetlink(l), nil
}

// LinkByIndex returns the interface of that number; errors.Is(err, ErrNoLink) when there is none.
func (h *Handle) LinkByIndex(index int) (Link, error) {
	var l netlink.Link
	err := repeat(func() (err error) {
		l, err = h.nl.LinkByIndex(index)
		return err
	})
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) || errors.Is(err, unix.ENODEV) {
		return Link{}, fmt.Errorf("interface %d: %w", index, ErrNoLink)
	}
	if err != nil {
		return Link{}, fmt.Errorf("interface %d: look up: %w", index, err)
	}
	return fromNetlink(l), nil
}

func (h *Handle) link(name string) (netlink.Link, error) {
	var l netlink.Link
	err := repeat(func() (err error) {
		l, err = h.nl.LinkByName(name)
		return err
	})
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) || errors.Is(err, unix.ENODEV) {
		return nil, fmt.Errorf("interface %s: %w", name, ErrNoLink)
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: look up: %w", name, err)
	}
	return l, nil
}

// change looks the interface up and does something to it.
func (h *Handle) change(name, operation string, fn func(netlink.Link) error) error {
	l, err := h.link(name)
	if err != nil {
		return err
	}
	if err := repeat(func() error { return fn(l) }); err != nil {
		if errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("interface %s: %s: %w", name, operation, ErrNoLink)
		}
		return fmt.Errorf("interface %s: %s: %w", name, operation, err)
	}
	return nil
}

// SetLinkUp sets it up.
func (h *Handle) SetLinkUp(name string) error { return h.change(name, "set up", h.nl.LinkSetUp) }

// SetLinkDown sets it down; the kernel drops its routes.
func (h *Handle) SetLinkDown(name string) error { return h.change(name, "set down", h.nl.LinkSetDown) }

// SetMAC sets the hardware address.
func (h *Handle) SetMAC(name, mac string) error {
	hw, err := net.ParseMAC(mac)
	if err != nil {
		return fmt.Errorf("interface %s: set MAC: %w", name, err)
	}
	return h.change(name, "set MAC "+mac, func(l netlink.Link) error { return h.nl.LinkSetHardwareAddr(l, hw) })
}

// SetMTU sets the MTU in bytes.
func (h *Handle) SetMTU(name string, mtu int) error {
	return h.change(name, fmt.Sprintf("set MTU %d", mtu), func(l netlink.Link) error { return h.nl.LinkSetMTU(l, mtu) })
}

// RenameLink gives the interface, which must be down on kernels before 6.2, another name.
func (h *Handle) RenameLink(name, to string) error {
	return h.change(name, "rename to "+to, func(l netlink.Link) error { return h.nl.LinkSetName(l, to) })
}

// MoveLink moves the interface to another namespace.
func (h *Handle) MoveLink(name string, to *Namespace) error {
	return h.change(name, "move to "+to.String(), func(l netlink.Link) error { return h.nl.LinkSetNsFd(l, to.FD()) })
}

// DeleteLink removes it, and with a veth its peer. None of that name: no error.
func (h *Handle) DeleteLink(name string) error {
	err := h.change(name, "delete", h.nl.LinkDel)
	if errors.Is(err, ErrNoLink) {
		return nil
	}
	return err
}

// Veth is a pair to be made: one end here, the other at once in another namespace, where nobody ever sees it under
// another name than PeerName.
type Veth struct {
	Name, MAC         string // MAC empty: the kernel's choice
	PeerName, PeerMAC string
	PeerNamespace     *Namespace // nil: here too
	MTU               int        // of both; 0: the kernel's default
	Queues            int        // of both, each direction; 0: 1
}

// AddVeth makes the pair, down.
func (h *Handle) AddVeth(v Veth) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = v.Name, v.MTU
	if v.Queues > 0 {
		attrs.NumTxQueues, attrs.NumRxQueues = v.Queues, v.Queues
	}
	veth := netlink.NewVeth(attrs)
	veth.PeerName = v.PeerName
	veth.PeerMTU = uint32(v.MTU)
	if v.PeerNamespace != nil {
		veth.PeerNamespace = netlink.NsFd(v.PeerNamespace.FD())
	}
	var err error
	if v.MAC != "" {
		if veth.HardwareAddr, err = net.ParseMAC(v.MAC); err != nil {
			return fmt.Errorf("interface %s: add veth: %w", v.Name, err)
		}
	}
	if v.PeerMAC != "" {
		if veth.PeerHardwareAddr, err = net.ParseMAC(v.PeerMAC); err != nil {
			return fmt.Errorf("interface %s: add veth: peer %s: %w", v.Name, v.PeerName, err)
		}
	}
	if err := repeat(func() error { return h.nl.LinkAdd(veth) }); err != nil {
		return fmt.Errorf("interface %s: add veth with peer %s: %w", v.Name, v.PeerName, err)
	}
	return nil
}

// AddDummy makes a dummy interface, down. Not every kernel has them.
func (h *Handle) AddDummy(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := h.nl.LinkAdd(&netlink.Dummy{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("interface %s: add dummy: %w", name, err)
	}
	return nil
}

// AddBridge makes a bridge, down.
func (h *Handle) AddBridge(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := h.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("interface %s: add bridge: %w", name, err)
	}
	return nil
}

// SetMaster puts the interface into a bridge.
func (h *Handle) SetMaster(name, bridge string) error {
	master, err := h.link(bridge)
	if err != nil {
		return err
	}
	return h.change(name, "put into "+bridge, func(l netlink.Link) error { return h.nl.LinkSetMaster(l, master) })
}

// Address is an address of an interface.
type Address struct {
	Link      int // index
	Prefix    netip.Prefix
	LinkLocal bool // scope link
	Tentative bool // IPv6 duplicate address detection has not finished
}

// Addresses lists the addresses of one interface, or of all when name is empty; both families.
func (h *Handle) Addresses(name string) ([]Address, error) {
	var link netlink.Link
	if name != "" {
		var err error
		if link, err = h.link(name); err != nil {
			return nil, err
		}
	}
	var found []netlink.Addr
	err := repeat(func() (err error) {
		found, err = h.nl.AddrList(link, netlink.FAMILY_ALL)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("interface %s: list addresses: %w", name, err)
	}
	out := make([]Address, 0, len(found))
	for _, a := range found {
		addr, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		ones, _ := a.Mask.Size()
		out = append(out, Address{
			Link: a.LinkIndex, Prefix: netip.PrefixFrom(addr.Unmap(), ones),
			LinkLocal: a.Scope == unix.RT_SCOPE_LINK, Tentative: a.Flags&unix.IFA_F_TENTATIVE != 0,
		})
	}
	return out, nil
}

// AddAddress adds an address, IPv6 ones without duplicate address detection. It is no error if it is there.
func (h *Handle) AddAddress(name string, p netip.Prefix) error {
	a := netlinkAddr(p)
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return h.change(name, "add address "+p.String(), func(l netlink.Link) error { return h.nl.AddrReplace(l, a) })
}

// DeleteAddress removes an address. Removing the last IPv4 address of an interface makes the kernel drop every IPv4
// route on it.
func (h *Handle) DeleteAddress(name string, p netip.Prefix) error {
	return h.change(name, "delete address "+p.String(), func(l netlink.Link) error { return h.nl.AddrDel(l, netlinkAddr(p)) })
}

func netlinkAddr(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
}
