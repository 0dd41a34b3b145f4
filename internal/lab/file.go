package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// File is a lab as its author writes it.
type File struct {
	Name      string     `json:"name"`
	Subnets   []Subnet   `json:"subnets"`
	Routers   []Router   `json:"routers,omitempty"`
	Nodes     []Node     `json:"nodes"`
	Objects   []string   `json:"objects,omitempty"` // files, relative to the lab file, or whole YAML documents
	Workloads []Workload `json:"workloads"`
	Expect    []Expect   `json:"expect,omitempty"`

	dir string // where relative paths start
}

// Subnet is a segment that nodes and routers share.
type Subnet struct {
	Name  string `json:"name"`
	CIDR  string `json:"cidr"`            // IPv4
	CIDR6 string `json:"cidr6,omitempty"` // IPv6

	v4, v6 netip.Prefix
}

// Router joins subnets; it has the first address of each and is their nodes' default gateway.
type Router struct {
	Name    string   `json:"name"`
	Subnets []string `json:"subnets"`
}

// Node is a host that runs an agent.
type Node struct {
	Name   string            `json:"name"`
	Subnet string            `json:"subnet,omitempty"` // default: the first
	Labels map[string]string `json:"labels,omitempty"`
}

// Workload is a pod: an object in the store, and a network namespace that tortie-cni attaches.
type Workload struct {
	Name           string            `json:"name"`
	Namespace      string            `json:"namespace,omitempty"` // default: default
	Node           string            `json:"node"`
	Labels         map[string]string `json:"labels,omitempty"`
	Annotations    map[string]string `json:"annotations,omitempty"`
	ServiceAccount string            `json:"serviceAccount,omitempty"`
	Ports          []Port            `json:"ports,omitempty"` // it listens on them; default: TCP 8080
}

// Port is a port that a workload declares and listens on.
type Port struct {
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol,omitempty"` // TCP (default) or UDP
	Port     int    `json:"port"`
}

// Expect is what must hold, shown by real packets.
type Expect struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Port     int    `json:"port,omitempty"`     // default: the target's first
	Protocol string `json:"protocol,omitempty"` // TCP (default), UDP or ICMP
	Verdict  string `json:"verdict"`            // allow or deny
	Family   int    `json:"family,omitempty"`   // 4 or 6; default: every family that both have
	Within   string `json:"within,omitempty"`   // how long it may take to come true, default 5s

	within time.Duration
}

var nameRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// ReadFile reads and checks a lab file. Errors name the place and what is allowed.
func ReadFile(path string) (*File, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("lab file: %w", err)
	}
	dir := "."
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir = path[:i]
	}
	return ParseFile(raw, path, dir)
}

// ParseFile is ReadFile on bytes; dir is where relative paths start.
func ParseFile(raw []byte, name, dir string) (*File, error) {
	var f File
	if err := yaml.UnmarshalStrict(bytes.TrimSpace(raw), &f); err != nil {
		return nil, fmt.Errorf("lab file %s: %w", name, err)
	}
	f.dir = dir
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("lab file %s: %w", name, err)
	}
	return &f, nil
}

func (f *File) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	names := map[string]string{}
	name := func(what, n string) {
		if !nameRule.MatchString(n) {
			bad("%s name %q: allowed are 1 to 32 of a-z, 0-9 and -", what, n)
		}
		if other, ok := names[n]; ok {
			bad("%s %q: a %s has that name already", what, n, other)
		}
		names[n] = what
	}
	if !nameRule.MatchString(f.Name) {
		bad("name %q: allowed are 1 to 32 of a-z, 0-9 and -", f.Name)
	}
	if len(f.Subnets) == 0 {
		bad("subnets: at least one is needed")
	}
	for i := range f.Subnets {
		s := &f.Subnets[i]
		name("subnet", s.Name)
		var err error
		if s.v4, err = netip.ParsePrefix(s.CIDR); err != nil || !s.v4.Addr().Is4() || s.v4.Bits() > 29 {
			bad("subnet %q: cidr %q: must be an IPv4 prefix of at most /29", s.Name, s.CIDR)
		}
		if s.CIDR6 != "" {
			if s.v6, err = netip.ParsePrefix(s.CIDR6); err != nil || !s.v6.Addr().Is6() || s.v6.Bits() > 120 {
				bad("subnet %q: cidr6 %q: must be an IPv6 prefix of at most /120", s.Name, s.CIDR6)
			}
		}
		s.v4, s.v6 = s.v4.Masked(), s.v6.Masked()
	}
	for _, r := range f.Routers {
		name("router", r.Name)
		for _, s := range r.Subnets {
			if f.subnet(s) == nil {
				bad("router %q: subnet %q is not among the subnets", r.Name, s)
			}
		}
	}
	if len(f.Nodes) == 0 {
		bad("nodes: at least one is needed")
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		name("node", n.Name)
		if n.Subnet == "" && len(f.Subnets) > 0 {
			n.Subnet = f.Subnets[0].Name
		}
		if f.subnet(n.Subnet) == nil {
			bad("node %q: subnet %q is not among the subnets", n.Name, n.Subnet)
		}
	}
	for i := range f.Workloads {
		w := &f.Workloads[i]
		name("workload", w.Name)
		if w.Namespace == "" {
			w.Namespace = "default"
		}
		if !slices.ContainsFunc(f.Nodes, func(n Node) bool { return n.Name == w.Node }) {
			bad("workload %q: node %q is not among the nodes", w.Name, w.Node)
		}
		if len(w.Ports) == 0 {
			w.Ports = []Port{{Name: "http", Protocol: "TCP", Port: 8080}}
		}
		for j := range w.Ports {
			p := &w.Ports[j]
			p.Protocol = strings.ToUpper(p.Protocol)
			if p.Protocol == "" {
				p.Protocol = "TCP"
			}
			if p.Protocol != "TCP" && p.Protocol != "UDP" {
				bad("workload %q: port %d: protocol %q: allowed are TCP and UDP", w.Name, p.Port, p.Protocol)
			}
			if p.Port < 1 || p.Port > 65535 {
				bad("workload %q: port %d: allowed are 1 to 65535", w.Name, p.Port)
			}
		}
	}
	for i := range f.Expect {
		if err := f.checkExpect(&f.Expect[i]); err != nil {
			bad("expect %d: %w", i+1, err)
		}
	}
	return errors.Join(errs...)
}

func (f *File) checkExpect(e *Expect) error {
	to := f.workload(e.To)
	switch {
	case f.workload(e.From) == nil:
		return fmt.Errorf("from %q: not among the workloads", e.From)
	case to == nil:
		return fmt.Errorf("to %q: not among the workloads", e.To)
	case e.Verdict != "allow" && e.Verdict != "deny":
		return fmt.Errorf("verdict %q: allowed are allow and deny", e.Verdict)
	case e.Family != 0 && e.Family != 4 && e.Family != 6:
		return fmt.Errorf("family %d: allowed are 4 and 6", e.Family)
	}
	e.Protocol = strings.ToUpper(e.Protocol)
	switch e.Protocol {
	case "":
		e.Protocol = "TCP"
		if e.Port == 0 {
			e.Protocol, e.Port = to.Ports[0].Protocol, to.Ports[0].Port
		}
	case "TCP", "UDP":
		if e.Port == 0 {
			e.Port = to.Ports[0].Port
		}
	case "ICMP":
	default:
		return fmt.Errorf("protocol %q: allowed are TCP, UDP and ICMP", e.Protocol)
	}
	e.within = 5 * time.Second
	if e.Within != "" {
		d, err := time.ParseDuration(e.Within)
		if err != nil || d <= 0 || d > time.Minute {
			return fmt.Errorf("within %q: must be a duration up to 1m, as 2s", e.Within)
		}
		e.within = d
	}
	return nil
}

func (f *File) subnet(name string) *Subnet {
	for i := range f.Subnets {
		if f.Subnets[i].Name == name {
			return &f.Subnets[i]
		}
	}
	return nil
}

func (f *File) workload(name string) *Workload {
	for i := range f.Workloads {
		if f.Workloads[i].Name == name {
			return &f.Workloads[i]
		}
	}
	return nil
}
