package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"unicode"
)

// versions of the CNI specification that are served, oldest first.
var versions = []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// since is the first version that has the command.
var since = map[string]string{"ADD": "0.3.0", "DEL": "0.3.0", "CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}

// plugin serves the command of one run.
type plugin struct {
	ipam bool // called as IPAM plugin
	env  func(string) string
	in   io.Reader
	out  io.Writer
}

// arguments are what the runtime gives beside the configuration.
type arguments struct {
	command, containerID, netns, ifName, args string
	stdin                                     []byte
}

// run reads the command, checks it, and does it. Every error has a CNI code.
func (p plugin) run() *failure {
	a := arguments{
		command: p.env("CNI_COMMAND"), containerID: p.env("CNI_CONTAINERID"), netns: p.env("CNI_NETNS"),
		ifName: p.env("CNI_IFNAME"), args: p.env("CNI_ARGS"),
	}
	if a.command == "VERSION" {
		return p.version()
	}
	if since[a.command] == "" {
		return fail(codeEnvironment, fmt.Sprintf("CNI_COMMAND %q: must be ADD, DEL, CHECK, GC, STATUS or VERSION", a.command), "")
	}
	if f := p.valid(a); f != nil {
		return f
	}
	var err error
	if a.stdin, err = io.ReadAll(io.LimitReader(p.in, maxMessage+1)); err != nil {
		return fail(codeIO, "read the network configuration from stdin", err.Error())
	}
	if len(a.stdin) > maxMessage {
		return fail(codeConfig, fmt.Sprintf("network configuration of more than %d bytes", maxMessage), "")
	}
	c, f := p.parse(a)
	if f == nil {
		f = p.call(c, a)
	}
	if f != nil {
		f.Version = c.Version
	}
	return f
}

func (p plugin) call(c conf, a arguments) *failure {
	var err error
	switch a.command {
	case "ADD":
		err = p.add(c, a)
	case "DEL":
		err = p.del(c, a)
	case "CHECK":
		err = p.check(c, a)
	case "GC":
		err = p.plain(c, a, -1, gcWait, codeTryAgain)
	default:
		err = p.plain(c, a, -1, otherWait, codeUnavailable)
	}
	if err != nil {
		return coded(err, codeInternal)
	}
	return nil
}

func (p plugin) version() *failure {
	raw, err := json.Marshal(map[string]any{"cniVersion": versions[len(versions)-1], "supportedVersions": versions})
	if err == nil {
		_, err = p.out.Write(append(raw, '\n'))
	}
	if err != nil {
		return fail(codeIO, "answer VERSION", err.Error())
	}
	return nil
}

// valid checks the environment as the specification asks.
func (p plugin) valid(a arguments) *failure {
	required := []string{"CNI_PATH"}
	switch a.command {
	case "ADD", "CHECK":
		required = append(required, "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS")
	case "DEL":
		required = append(required, "CNI_CONTAINERID", "CNI_IFNAME")
	}
	var missing []string
	for _, name := range required {
		if p.env(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fail(codeEnvironment, a.command+" needs "+strings.Join(missing, ", "), "")
	}
	if len(required) == 1 {
		return nil
	}
	if !validName(a.containerID) {
		return fail(codeEnvironment, fmt.Sprintf("CNI_CONTAINERID %q: must be letters, digits, '_', '.' and '-', and begin with a letter or digit", a.containerID), "")
	}
	if len(a.ifName) > 15 || a.ifName == "." || a.ifName == ".." ||
		strings.ContainsFunc(a.ifName, func(r rune) bool { return r == '/' || r == ':' || unicode.IsSpace(r) }) {
		return fail(codeEnvironment, fmt.Sprintf("CNI_IFNAME %q: must be at most 15 bytes without '/', ':' and white space", a.ifName), "")
	}
	return nil
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || c != '_' && c != '.' && c != '-') {
			return false
		}
	}
	return s != ""
}

// conf is what the plugin itself must know of the network configuration.
type conf struct {
	Version       string `json:"cniVersion"`
	Name          string `json:"name"`
	Socket        string `json:"socket"`
	PolicyTimeout int    `json:"policy_setup_timeout_seconds"`
	IPAM          struct {
		Type string `json:"type"`
	} `json:"ipam"`
}

func (p plugin) parse(a arguments) (conf, *failure) {
	var c conf
	if err := json.Unmarshal(a.stdin, &c); err != nil {
		return conf{}, fail(codeDecoding, "network configuration is not readable", err.Error())
	}
	if !validName(c.Name) {
		return c, fail(codeConfig, fmt.Sprintf("network name %q: must be letters, digits, '_', '.' and '-', and begin with a letter or digit", c.Name), "")
	}
	at := slices.Index(versions, c.Version)
	if at < 0 {
		return c, fail(codeVersion, "incompatible CNI versions", fmt.Sprintf("cniVersion %q: must be one of %s", c.Version, strings.Join(versions, ", ")))
	}
	if at < slices.Index(versions, since[a.command]) {
		return c, fail(codeVersion, fmt.Sprintf("cniVersion %s has no %s: it came with %s", c.Version, a.command, since[a.command]), "")
	}
	if c.Socket == "" {
		c.Socket = p.env("TORTIE_CNI_SOCKET")
	}
	if c.Socket == "" {
		c.Socket = "/run/tortie/cni.sock"
	}
	return c, nil
}

// openNetns opens CNI_NETNS, so that the agent need not trust a path nor see the same files. The plugin's own namespace
// is the node's, and none that a workload could be wired to, unless CNI_NETNS_OVERRIDE says so.
func (p plugin) openNetns(path string) (int, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, fail(codeNetns, fmt.Sprintf("open CNI_NETNS %s: %v", path, err), "")
	}
	var theirs, own syscall.Stat_t
	override := p.env("CNI_NETNS_OVERRIDE")
	if override == "1" || strings.EqualFold(override, "true") || syscall.Fstat(fd, &theirs) != nil ||
		syscall.Stat("/proc/self/ns/net", &own) != nil || theirs.Dev != own.Dev || theirs.Ino != own.Ino {
		return fd, nil
	}
	closeFD(fd)
	return -1, fail(codeNetns, fmt.Sprintf("CNI_NETNS %s is the plugin's own network namespace", path), "")
}

func closeFD(fd int) {
	if fd >= 0 {
		_ = syscall.Close(fd)
	}
}
