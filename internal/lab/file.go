package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
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
	Workloads []Workload `json:"workloads,omitempty"`
	Expect    []Expect   `json:"expect,omitempty"`

	dir string // where relative paths start
}

// Subnet is a segment that nodes and routers share.
type Subnet struct {
	Name  string `json:"name"`
	CIDR  string `json:"cidr"`            // IPv4, /8 to /29
	CIDR6 string `json:"cidr6,omitempty"` // IPv6, /8 to /120

	v4, v6 netip.Prefix
}

// Router joins subnets; it has the first address of each and is their nodes' default gateway.
type Router struct {
	Name    string   `json:"name"`
	Subnets []string `json:"subnets"`
}

// Node is a host that runs an agent. Its address is the subnet's tenth and so on, in the file's order; the second and so
// on where a subnet has no tenth.
type Node struct {
	Name   string            `json:"name"`
	Subnet string            `json:"subnet,omitempty"` // default: the first
	Labels map[string]string `json:"labels,omitempty"` // of the Node object
	Ports  []Port            `json:"ports,omitempty"`  // the host listens on them; default: none

	addrs []netip.Prefix // with the subnet's length
}

// Workload is a pod: an object in the store, and a network namespace that tortie-cni attaches.
type Workload struct {
	Name           string            `json:"name"`
	Namespace      string            `json:"namespace,omitempty"` // default: default
	Node           string            `json:"node"`
	Labels         map[string]string `json:"labels,omitempty"`
	Annotations    map[string]string `json:"annotations,omitempty"`
	ServiceAccount string            `json:"serviceAccount,omitempty"` // default: default
	Ports          []Port            `json:"ports,omitempty"`          // it listens on them; default: TCP 8080, named http
}

// Port is a port that a workload declares and listens on, or that a node listens on.
type Port struct {
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol,omitempty"` // TCP (default) or UDP
	Port     int    `json:"port"`
}

// Expect is what must hold, shown by real packets.
type Expect struct {
	From     string `json:"from"`               // a workload, node or router
	To       string `json:"to"`                 // a workload, node or router, or an address
	Port     int    `json:"port,omitempty"`     // default: the target's first
	Protocol string `json:"protocol,omitempty"` // TCP, UDP or ICMP; default: that of the port, ICMP to what has no port
	Verdict  string `json:"verdict"`            // allow or deny
	Family   int    `json:"family,omitempty"`   // 4 or 6; default: every family that both have
	Within   string `json:"within,omitempty"`   // how long it may take to come true, up to 1m; default 5s

	within time.Duration
	addr   netip.Addr // of To, where it is an address
}

var nameRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// ReadFile reads and checks a lab file. Errors name the line where it can be told, the place and what is allowed.
func ReadFile(path string) (*File, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("lab file: %w", err)
	}
	return ParseFile(raw, path, filepath.Dir(path))
}

// ParseFile is ReadFile on bytes; dir is where relative paths start.
func ParseFile(raw []byte, name, dir string) (*File, error) {
	var f File
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, fmt.Errorf("lab file %s: it is empty", name)
	}
	if err := yaml.UnmarshalStrict(raw, &f); err != nil {
		return nil, fmt.Errorf("lab file %s: %w", name, unreadable(raw, err))
	}
	f.dir = dir
	mistakes := append(f.check(), f.missingObjects()...)
	var errs []error
	for _, m := range mistakes {
		errs = append(errs, fmt.Errorf("lab file %s: %s%s", name, lineOf(raw, m.token), m.text))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &f, nil
}

var (
	unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)
	twiceField   = regexp.MustCompile(`key "([^"]*)" already set in map`)
	yamlLine     = regexp.MustCompile(`yaml: (?:unmarshal errors:\s*)?line (\d+): (.*)`)
)

// unreadable puts what the YAML and JSON decoders say into words of the file.
func unreadable(raw []byte, err error) error {
	var kind *json.UnmarshalTypeError
	text := err.Error()
	switch {
	case errors.As(err, &kind):
		want := map[string]string{"int": "a number", "string": "text", "slice": "a list", "map": "a mapping", "struct": "a mapping"}[kind.Type.Kind().String()]
		return fmt.Errorf("%s: %s found, must be %s", kind.Field, kind.Value, want)
	case unknownField.MatchString(text):
		field := unknownField.FindStringSubmatch(text)[1]
		return fmt.Errorf("%sfield %q is unknown", lineOf(raw, field), field)
	case twiceField.MatchString(text):
		m := yamlLine.FindStringSubmatch(strings.ReplaceAll(text, "\n", " "))
		line := ""
		if m != nil {
			line = "line " + m[1] + ": "
		}
		return fmt.Errorf("%sfield %q is there twice", line, twiceField.FindStringSubmatch(text)[1])
	case yamlLine.MatchString(text):
		m := yamlLine.FindStringSubmatch(text)
		return fmt.Errorf("line %s: not YAML: %s", m[1], m[2])
	}
	return err
}

// lineOf is "line N: " where exactly one line of a text has a word, else nothing: a wrong place would be worse than none.
func lineOf(raw []byte, word string) string {
	if word == "" {
		return ""
	}
	found := 0
	for i, line := range strings.Split(string(raw), "\n") {
		if hasWord(line, word) {
			if found != 0 {
				return ""
			}
			found = i + 1
		}
	}
	if found == 0 {
		return ""
	}
	return fmt.Sprintf("line %d: ", found)
}

// hasWord tells whether a line has a word that does not go on at either side.
func hasWord(line, word string) bool {
	goesOn := func(s string, at int) bool {
		if at < 0 || at >= len(s) {
			return false
		}
		c := s[at]
		return c == '-' || c == '_' || c == '.' || c == '/' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	for start := 0; ; {
		i := strings.Index(line[start:], word)
		if i < 0 {
			return false
		}
		i += start
		if !goesOn(line, i-1) && !goesOn(line, i+len(word)) {
			return true
		}
		start = i + 1
	}
}

// missingObjects are the files of objects that are not there.
func (f *File) missingObjects() []mistake {
	var all []mistake
	for _, o := range f.Objects {
		if strings.Contains(o, "\n") {
			continue
		}
		if _, err := os.Stat(f.path(o)); err != nil {
			all = append(all, mistake{o, fmt.Sprintf("objects: %v", err)})
		}
	}
	return all
}

// path is where a relative path of the file leads.
func (f *File) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(f.dir, p)
}

func (f *File) subnet(name string) *Subnet {
	for i := range f.Subnets {
		if f.Subnets[i].Name == name {
			return &f.Subnets[i]
		}
	}
	return nil
}

func (f *File) router(name string) *Router {
	for i := range f.Routers {
		if f.Routers[i].Name == name {
			return &f.Routers[i]
		}
	}
	return nil
}

func (f *File) node(name string) *Node {
	for i := range f.Nodes {
		if f.Nodes[i].Name == name {
			return &f.Nodes[i]
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
