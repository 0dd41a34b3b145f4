package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/tortie-net/tortie/internal/kernel"
)

// topology is the namespaces of a lab, open, by name. Every subnet has one with a bridge in it; routers, nodes and
// workloads have one each.
type topology struct {
	dir string // where they are bound

	mu   sync.Mutex
	open map[string]*kernel.Namespace
}

func newTopology(dir string) *topology {
	return &topology{dir: dir, open: map[string]*kernel.Namespace{}}
}

// make makes a namespace that lives until remove.
func (t *topology) make(name string) (*kernel.Namespace, error) {
	ns, err := kernel.NewNamedNamespace(filepath.Join(t.dir, name))
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[name] = ns
	return ns, nil
}

// get opens a namespace that was made before.
func (t *topology) get(name string) (*kernel.Namespace, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ns := t.open[name]; ns != nil {
		return ns, nil
	}
	ns, err := kernel.OpenNamespace(filepath.Join(t.dir, name))
	if err != nil {
		return nil, err
	}
	t.open[name] = ns
	return ns, nil
}

func (t *topology) path(name string) string { return filepath.Join(t.dir, name) }

func (t *topology) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ns := range t.open {
		_ = ns.Close()
	}
	clear(t.open)
}

// remove takes every namespace of the lab away, with all that is in it.
func (t *topology) remove() error {
	t.close()
	entries, err := os.ReadDir(t.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, kernel.RemoveNamespace(filepath.Join(t.dir, e.Name())))
	}
	return errors.Join(errs...)
}

// addresses gives the n-th address of a subnet, with the subnet's length, per family. The first is the router's.
func (s *Subnet) addresses(n int) []netip.Prefix {
	out := []netip.Prefix{netip.PrefixFrom(nth(s.v4.Addr(), n), s.v4.Bits())}
	if s.v6.IsValid() {
		out = append(out, netip.PrefixFrom(nth(s.v6.Addr(), n), s.v6.Bits()))
	}
	return out
}

func nth(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}

// build makes subnets, routers and nodes, joins and addresses them.
func (t *topology) build(f *File) error {
	for i := range f.Subnets {
		s := &f.Subnets[i]
		ns, err := t.make("subnet." + s.Name)
		if err != nil {
			return err
		}
		if err := withHandle(ns, func(h *kernel.Handle) error {
			if err := h.AddBridge("br0"); err != nil {
				return err
			}
			return h.SetLinkUp("br0")
		}); err != nil {
			return fmt.Errorf("subnet %s: %w", s.Name, err)
		}
	}
	for _, r := range f.Routers {
		ns, err := t.make(r.Name)
		if err != nil {
			return err
		}
		for i, name := range r.Subnets {
			s := f.subnet(name)
			if err := t.join(ns, r.Name, fmt.Sprintf("eth%d", i), s, s.addresses(1)); err != nil {
				return fmt.Errorf("router %s: %w", r.Name, err)
			}
		}
		if err := forwarding(ns); err != nil {
			return fmt.Errorf("router %s: %w", r.Name, err)
		}
	}
	for _, n := range f.Nodes {
		ns, err := t.make(n.Name)
		if err != nil {
			return err
		}
		s := f.subnet(n.Subnet)
		if err := t.join(ns, n.Name, "eth0", s, n.addrs); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		if f.routed(s.Name) {
			if err := defaultRoutes(ns, s); err != nil {
				return fmt.Errorf("node %s: %w", n.Name, err)
			}
		}
	}
	return nil
}

func (f *File) routed(subnet string) bool {
	for _, r := range f.Routers {
		for _, s := range r.Subnets {
			if s == subnet {
				return true
			}
		}
	}
	return false
}

// join gives a namespace an interface in a subnet, with addresses.
func (t *topology) join(ns *kernel.Namespace, name, iface string, s *Subnet, addrs []netip.Prefix) error {
	bridge, err := t.get("subnet." + s.Name)
	if err != nil {
		return err
	}
	port := "p." + name // of the bridge; the address keeps long names apart
	if len(port) > 15 {
		host := addrs[0].Addr().As4()
		port = fmt.Sprintf("p.%.6s-%02x%02x%02x", name, host[1], host[2], host[3])
	}
	if err := withHandle(bridge, func(h *kernel.Handle) error {
		if err := h.AddVeth(kernel.Veth{Name: port, PeerName: iface, PeerNamespace: ns}); err != nil {
			return err
		}
		if err := h.SetMaster(port, "br0"); err != nil {
			return err
		}
		return h.SetLinkUp(port)
	}); err != nil {
		return err
	}
	if s.v6.IsValid() { // addresses must be usable at once: nobody else can have them
		if err := (kernel.Sysctls{Namespace: ns}).Write("net/ipv6/conf/"+iface+"/accept_dad", "0"); err != nil {
			return err
		}
	}
	return withHandle(ns, func(h *kernel.Handle) error {
		for _, p := range addrs {
			if err := h.AddAddress(iface, p); err != nil {
				return err
			}
		}
		return h.SetLinkUp(iface)
	})
}

func withHandle(ns *kernel.Namespace, fn func(*kernel.Handle) error) error {
	h, err := kernel.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	return fn(h)
}

// forwarding lets a namespace route. A host with IPv6 off has no IPv6 setting.
func forwarding(ns *kernel.Namespace) error {
	s := kernel.Sysctls{Namespace: ns}
	if err := s.Write("net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	if err := s.Write("net/ipv6/conf/all/forwarding", "1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// defaultRoutes leads what is not on the subnet to its router.
func defaultRoutes(ns *kernel.Namespace, s *Subnet) error {
	return withHandle(ns, func(h *kernel.Handle) error {
		link, err := h.Link("eth0")
		if err != nil {
			return err
		}
		var writes []kernel.RouteWrite
		for _, p := range s.addresses(1) {
			zero := netip.IPv4Unspecified()
			if p.Addr().Is6() {
				zero = netip.IPv6Unspecified()
			}
			writes = append(writes, kernel.RouteWrite{Operation: kernel.RouteReplace, Route: kernel.Route{
				Prefix: netip.PrefixFrom(zero, 0), Kind: kernel.Unicast, Protocol: protocolStatic,
				NextHops: []kernel.NextHop{{Gateway: p.Addr(), Link: link.Index}},
			}})
		}
		errs, _ := h.WriteRoutes(writes)
		return errors.Join(errs...)
	})
}

const protocolStatic = 4 // RTPROT_STATIC
