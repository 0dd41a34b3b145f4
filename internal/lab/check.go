package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// mistake is what is wrong in a lab file: a word that stands at the place, and what is wrong there and what is allowed.
type mistake struct{ token, text string }

func (m mistake) Error() string { return m.text }

// checking collects the mistakes of a file.
type checking struct {
	file     *File
	mistakes []mistake
	names    map[string]string // name → what it is the name of
}

func (c *checking) bad(token, format string, args ...any) {
	c.mistakes = append(c.mistakes, mistake{token, fmt.Sprintf(format, args...)})
}

// name checks a name; subnets, routers, nodes and workloads share one space, since each is a namespace of the lab.
func (c *checking) name(what, name string) {
	if !nameRule.MatchString(name) {
		c.bad(name, "%s name %q: allowed are 1 to 32 of a-z, 0-9 and -, the first and last no -", what, name)
		return
	}
	if other, ok := c.names[name]; ok {
		c.bad(name, "%s %q: a %s has that name already", what, name, other)
	}
	c.names[name] = what
}

// check finds every mistake, fills defaults in and gives nodes their addresses.
func (f *File) check() []mistake {
	c := &checking{file: f, names: map[string]string{}}
	if !nameRule.MatchString(f.Name) {
		c.bad(f.Name, "name %q: allowed are 1 to 32 of a-z, 0-9 and -, the first and last no -", f.Name)
	}
	c.subnets()
	c.routers()
	c.nodes()
	c.workloads()
	if len(c.mistakes) > 0 {
		return c.mistakes // expectations name what may be missing only because of these
	}
	for i := range f.Expect {
		var m mistake
		if err := f.checkExpect(&f.Expect[i]); errors.As(err, &m) {
			c.bad(m.token, "expect %d: %s", i+1, m.text)
		}
	}
	return c.mistakes
}

// checked is check as one error.
func (f *File) checked() error {
	var errs []error
	for _, m := range f.check() {
		errs = append(errs, m)
	}
	return errors.Join(errs...)
}

func (c *checking) subnets() {
	if len(c.file.Subnets) == 0 {
		c.bad("", "subnets: at least one is needed")
	}
	for i := range c.file.Subnets {
		s := &c.file.Subnets[i]
		c.name("subnet", s.Name)
		s.v4 = c.prefix(s.Name, "cidr", s.CIDR, netip.Addr.Is4, "an IPv4 prefix, /8 to /29", 29)
		if s.CIDR6 != "" {
			s.v6 = c.prefix(s.Name, "cidr6", s.CIDR6, netip.Addr.Is6, "an IPv6 prefix, /8 to /120", 120)
		}
		for _, o := range c.file.Subnets[:i] {
			if s.v4.IsValid() && o.v4.IsValid() && s.v4.Overlaps(o.v4) || s.v6.IsValid() && o.v6.IsValid() && s.v6.Overlaps(o.v6) {
				c.bad("", "subnet %q overlaps subnet %q", s.Name, o.Name)
			}
		}
	}
}

func (c *checking) prefix(subnet, field, text string, family func(netip.Addr) bool, allowed string, longest int) netip.Prefix {
	p, err := netip.ParsePrefix(text)
	if err != nil || !family(p.Addr()) || p.Bits() < 8 || p.Bits() > longest {
		c.bad(text, "subnet %q: %s %q: must be %s", subnet, field, text, allowed)
		return netip.Prefix{}
	}
	return p.Masked()
}

func (c *checking) routers() {
	of := map[string]string{}
	for _, r := range c.file.Routers {
		c.name("router", r.Name)
		if len(r.Subnets) == 0 {
			c.bad(r.Name, "router %q: subnets: at least one is needed", r.Name)
		}
		for _, s := range r.Subnets {
			if c.file.subnet(s) == nil {
				c.bad(s, "router %q: subnet %q is not among the subnets", r.Name, s)
			}
			if other := of[s]; other != "" {
				c.bad("", "router %q: subnet %q has router %q already: a subnet has at most one", r.Name, s, other)
			}
			of[s] = r.Name
		}
	}
}

func (c *checking) nodes() {
	if len(c.file.Nodes) == 0 {
		c.bad("", "nodes: at least one is needed")
	}
	count := map[string]int{}
	for i := range c.file.Nodes {
		n := &c.file.Nodes[i]
		c.name("node", n.Name)
		if n.Subnet == "" && len(c.file.Subnets) > 0 {
			n.Subnet = c.file.Subnets[0].Name
		}
		s := c.file.subnet(n.Subnet)
		if s == nil {
			c.bad(n.Subnet, "node %q: subnet %q is not among the subnets", n.Name, n.Subnet)
			continue
		}
		if !s.v4.IsValid() {
			continue
		}
		first, room := 10, 1<<(32-s.v4.Bits())-2 // the last address is the broadcast's
		if room <= 10 {
			first = 2
		}
		if s.v6.IsValid() {
			room = min(room, 1<<min(20, 128-s.v6.Bits())-2)
		}
		at := first + count[s.Name]
		count[s.Name]++
		if at > room {
			c.bad("", "node %q: subnet %q has addresses for %d nodes", n.Name, n.Subnet, room-first+1)
			continue
		}
		n.addrs = s.addresses(at)
		c.ports("node", n.Name, n.Ports)
	}
}

func (c *checking) workloads() {
	for i := range c.file.Workloads {
		w := &c.file.Workloads[i]
		c.name("workload", w.Name)
		if w.Namespace == "" {
			w.Namespace = "default"
		}
		if !nameRule.MatchString(w.Namespace) {
			c.bad(w.Namespace, "workload %q: namespace %q: allowed are 1 to 32 of a-z, 0-9 and -, the first and last no -", w.Name, w.Namespace)
		}
		if c.file.node(w.Node) == nil {
			c.bad(w.Node, "workload %q: node %q is not among the nodes", w.Name, w.Node)
		}
		if len(w.Ports) == 0 {
			w.Ports = []Port{{Name: "http", Protocol: "TCP", Port: 8080}}
		}
		c.ports("workload", w.Name, w.Ports)
	}
}

func (c *checking) ports(what, name string, ports []Port) {
	seen := map[string]bool{}
	for i := range ports {
		p := &ports[i]
		p.Protocol = strings.ToUpper(p.Protocol)
		if p.Protocol == "" {
			p.Protocol = "TCP"
		}
		if p.Protocol != "TCP" && p.Protocol != "UDP" {
			c.bad(p.Protocol, "%s %q: port %d: protocol %q: allowed are TCP and UDP", what, name, p.Port, p.Protocol)
		}
		if p.Port < 1 || p.Port > 65535 {
			c.bad(fmt.Sprint(p.Port), "%s %q: port %d: allowed are 1 to 65535", what, name, p.Port)
		}
		if seen[p.String()] {
			c.bad("", "%s %q: port %s is there twice", what, name, p)
		}
		seen[p.String()] = true
	}
}

// String is the port as people write it.
func (p Port) String() string { return fmt.Sprintf("%d/%s", p.Port, p.Protocol) }

// checkExpect checks an expectation and fills its defaults in. Errors are mistakes.
func (f *File) checkExpect(e *Expect) error {
	bad := func(token, format string, args ...any) error { return mistake{token, fmt.Sprintf(format, args...)} }
	const ends = "not among the workloads, nodes and routers"
	to, known := f.ports(e.To)
	if _, ok := f.ports(e.From); !ok {
		return bad(e.From, "from %q: %s", e.From, ends)
	}
	if !known {
		addr, err := netip.ParseAddr(e.To)
		if err != nil || addr.Zone() != "" {
			return bad(e.To, "to %q: %s, and no address", e.To, ends)
		}
		e.addr = addr.Unmap()
		family := 6
		if e.addr.Is4() {
			family = 4
		}
		if e.Family != 0 && e.Family != family {
			return bad("", "to %q: family %d: it is of family %d", e.To, e.Family, family)
		}
		e.Family = family
	}
	switch {
	case e.From == e.To:
		return bad("", "from and to are both %q", e.To)
	case e.Verdict != "allow" && e.Verdict != "deny":
		return bad(e.Verdict, "verdict %q: allowed are allow and deny", e.Verdict)
	case e.Family != 0 && e.Family != 4 && e.Family != 6:
		return bad("", "family %d: allowed are 4 and 6", e.Family)
	case e.Port < 0 || e.Port > 65535:
		return bad(fmt.Sprint(e.Port), "port %d: allowed are 1 to 65535", e.Port)
	}
	if err := e.resolve(to, f.workload(e.To) != nil); err != nil {
		return err
	}
	e.within = 5 * time.Second
	if e.Within != "" {
		d, err := time.ParseDuration(e.Within)
		if err != nil || d <= 0 || d > time.Minute {
			return bad(e.Within, "within %q: must be a duration up to 1m, as 2s", e.Within)
		}
		e.within = d
	}
	return nil
}

// resolve settles protocol and port. A port at which a workload does not listen is a mistake: a deny would hold there
// whatever policy says.
func (e *Expect) resolve(ports []Port, workload bool) error {
	e.Protocol = strings.ToUpper(e.Protocol)
	switch e.Protocol {
	case "", "TCP", "UDP":
	case "ICMP":
		if e.Port != 0 {
			return mistake{"", fmt.Sprintf("port %d: ICMP has none", e.Port)}
		}
		return nil
	default:
		return mistake{e.Protocol, fmt.Sprintf("protocol %q: allowed are TCP, UDP and ICMP", e.Protocol)}
	}
	var names []string
	for _, p := range ports {
		names = append(names, p.String())
		if (e.Port == 0 || e.Port == p.Port) && (e.Protocol == "" || e.Protocol == p.Protocol) {
			e.Port, e.Protocol = p.Port, p.Protocol
			return nil
		}
	}
	switch {
	case workload && e.Port != 0:
		return mistake{fmt.Sprint(e.Port), fmt.Sprintf("port %d: %s listens on %s", e.Port, e.To, strings.Join(names, ", "))}
	case workload:
		return mistake{e.Protocol, fmt.Sprintf("protocol %s: %s listens on %s", e.Protocol, e.To, strings.Join(names, ", "))}
	case e.Port == 0 && e.Protocol == "":
		e.Protocol = "ICMP"
	case e.Port == 0:
		return mistake{"", fmt.Sprintf("port: needed with protocol %s to %s", e.Protocol, e.To)}
	case e.Protocol == "":
		e.Protocol = "TCP"
	}
	return nil
}

// ports are those that an end listens on; false: the file knows no such end.
func (f *File) ports(name string) ([]Port, bool) {
	if w := f.workload(name); w != nil {
		return w.Ports, true
	}
	if n := f.node(name); n != nil {
		return n.Ports, true
	}
	return nil, f.router(name) != nil
}
