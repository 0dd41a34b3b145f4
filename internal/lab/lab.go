package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tortie-net/tortie/internal/query"
)

// Lab is a lab that is up, or about to be. Its folder holds everything: namespaces, sockets, logs, the store.
type Lab struct {
	file   *File
	dir    string
	net    *topology
	run    processes
	binary string // tortie
	plugin string // tortie-cni
	out    io.Writer

	mu    sync.Mutex
	addrs map[string][]netip.Addr // of workloads, as tortie-cni answered
}

// saved is what a later command must know of a lab that is up.
type saved struct {
	File  *File                   `json:"file"`
	Addrs map[string][]netip.Addr `json:"addresses"`
}

// Root is the folder that the labs of this user live in.
func Root() string {
	if os.Getuid() == 0 {
		return "/run/tortie-lab"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "tortie-lab")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("tortie-lab-%d", os.Getuid()))
}

// New prepares a lab of a file. The programs are the running one, and tortie-cni beside it.
func New(f *File, out io.Writer) (*Lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return NewWith(self, f, out)
}

// NewWith is New with the program tortie at a path.
func NewWith(self string, f *File, out io.Writer) (*Lab, error) {
	dir := filepath.Join(Root(), f.Name)
	l := &Lab{
		file: f, dir: dir, net: newTopology(filepath.Join(dir, "net")), run: processes{filepath.Join(dir, "log")},
		binary: self, plugin: filepath.Join(filepath.Dir(self), "tortie-cni"), out: out, addrs: map[string][]netip.Addr{},
	}
	if _, err := os.Stat(l.plugin); err != nil {
		return nil, fmt.Errorf("lab: the CNI plugin must be beside %s: %w", self, err)
	}
	return l, nil
}

// Open finds a lab that is up.
func Open(name string, out io.Writer) (*Lab, error) {
	if !nameRule.MatchString(name) {
		return nil, fmt.Errorf("lab name %q: allowed are 1 to 32 of a-z, 0-9 and -", name)
	}
	raw, err := os.ReadFile(filepath.Join(Root(), name, "lab.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("lab %q is not up", name)
	}
	if err != nil {
		return nil, fmt.Errorf("lab %q: %w", name, err)
	}
	var s saved
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("lab %q: %w", name, err)
	}
	if err := s.File.check(); err != nil {
		return nil, fmt.Errorf("lab %q: %w", name, err)
	}
	l, err := New(s.File, out)
	if err != nil {
		return nil, err
	}
	l.addrs = s.Addrs
	return l, nil
}

func (l *Lab) save() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	raw, err := json.Marshal(saved{l.file, l.addrs})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, "lab.json"), raw, 0o600)
}

func (l *Lab) storeURL() string               { return "unix://" + filepath.Join(l.dir, "store.sock") }
func (l *Lab) runDir(node string) string      { return filepath.Join(l.dir, "nodes", node) }
func (l *Lab) cniSocket(node string) string   { return filepath.Join(l.runDir(node), "cni.sock") }
func (l *Lab) querySocket(node string) string { return filepath.Join(l.runDir(node), "query.sock") }

// dual tells whether the lab has IPv6.
func (l *Lab) dual() bool {
	for _, s := range l.file.Subnets {
		if s.v6.IsValid() {
			return true
		}
	}
	return false
}

// storeEnv is how the lab's store is reached, with the variables that Calico's tools use.
func (l *Lab) storeEnv() []string {
	return []string{"DATASTORE_TYPE=etcdv3", "ETCD_ENDPOINTS=" + l.storeURL()}
}

func (l *Lab) say(format string, args ...any) { fmt.Fprintf(l.out, format+"\n", args...) }

// Up builds the lab. Whatever fails is taken down again.
func (l *Lab) Up(ctx context.Context) (err error) {
	if err := os.MkdirAll(Root(), 0o755); err != nil {
		return fmt.Errorf("lab %s: %w", l.file.Name, err)
	}
	if err := os.Mkdir(l.dir, 0o700); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("lab %s is up already, or was not taken down: tortie lab down %s", l.file.Name, l.file.Name)
	} else if err != nil {
		return fmt.Errorf("lab %s: %w", l.file.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Down(context.WithoutCancel(ctx)))
		}
	}()
	start := time.Now()
	if err := l.save(); err != nil {
		return err
	}
	if err := l.StartStore(); err != nil {
		return err
	}
	if err := l.net.build(l.file); err != nil {
		return err
	}
	if err := l.awaitStore(ctx); err != nil {
		return err
	}
	for _, n := range l.file.Nodes {
		if err := l.StartAgent(n.Name); err != nil {
			return err
		}
	}
	if err := l.applyObjects(ctx); err != nil {
		return err
	}
	for _, n := range l.file.Nodes {
		if err := l.awaitReady(ctx, n.Name); err != nil {
			return err
		}
	}
	l.say("%d nodes ready after %.1f s", len(l.file.Nodes), time.Since(start).Seconds())
	if err := l.attachAll(ctx); err != nil {
		return err
	}
	if err := l.save(); err != nil {
		return err
	}
	if err := l.run.start("serve", nil, nil, l.binary, "lab", "serve", l.file.Name, "--dir", l.dir); err != nil {
		return err
	}
	if err := until(ctx, 5*time.Second, "servers in the workloads", l.serving); err != nil {
		return fmt.Errorf("%w\n%s", err, l.run.tail("serve"))
	}
	l.say("%d workloads attached after %.1f s", len(l.file.Workloads), time.Since(start).Seconds())
	return nil
}

// StartStore starts the lab's store.
func (l *Lab) StartStore() error {
	return l.run.start("store", nil, nil, l.binary, "store", "--dir", filepath.Join(l.dir, "store"), "--listen", l.storeURL(), "--no-fsync")
}

// KillStore ends the lab's store with SIGKILL.
func (l *Lab) KillStore() error { return l.run.stop("store", syscall.SIGKILL, 0) }

func (l *Lab) awaitStore(ctx context.Context) error {
	return until(ctx, 15*time.Second, "store", func() error {
		return l.alive("store", l.tortie(ctx, nil, "get", "clusterinformation"))
	})
}

// alive adds the end of a process's log to an error when the process is gone.
func (l *Lab) alive(name string, err error) error {
	if err != nil && l.run.pid(name) == 0 {
		return fmt.Errorf("%w; it ended: %s", err, l.run.tail(name))
	}
	return err
}

// tortie runs a verb of the command line against the lab's store.
func (l *Lab) tortie(ctx context.Context, stdin io.Reader, args ...string) error {
	_, err := l.Output(ctx, stdin, args...)
	return err
}

// Output runs a verb of the command line against the lab's store and returns what it prints.
func (l *Lab) Output(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.binary, args...)
	cmd.Env = append(os.Environ(), l.storeEnv()...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("tortie %s: %s", strings.Join(args, " "), strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// StartAgent starts a node's agent inside the node.
func (l *Lab) StartAgent(node string) error {
	ns, err := l.net.get(node)
	if err != nil {
		return err
	}
	dir := l.runDir(node)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("node %s: %w", node, err)
	}
	return l.run.start("agent-"+node, ns, l.storeEnv(), l.binary, "agent", "--node", node, "--run-dir", dir)
}

// KillAgent ends a node's agent with SIGKILL.
func (l *Lab) KillAgent(node string) error {
	return l.run.stop("agent-"+node, syscall.SIGKILL, 0)
}

// awaitReady waits until a node's agent is ready.
func (l *Lab) awaitReady(ctx context.Context, node string) error {
	c := query.NewClient(l.querySocket(node))
	defer c.Close()
	return until(ctx, 20*time.Second, "node "+node, func() error {
		s, err := c.Status(ctx)
		if err == nil && !s.Ready {
			err = errors.New(strings.Join(s.NotReady, "; "))
		}
		return l.alive("agent-"+node, err)
	})
}

// AwaitBGP waits until every BGP session of every node is Established and returns how many there are.
func (l *Lab) AwaitBGP(ctx context.Context, limit time.Duration) (sessions int, err error) {
	for _, n := range l.file.Nodes {
		c := query.NewClient(l.querySocket(n.Name))
		defer c.Close()
		count := 0
		if err := until(ctx, limit, "BGP of node "+n.Name, func() error {
			s, err := c.Status(ctx)
			if err != nil || s.BGP == nil {
				return err
			}
			count = len(s.BGP.Peers)
			for _, p := range s.BGP.Peers {
				if p.State != "Established" {
					return fmt.Errorf("%s is %s: %s", p.Name, p.State, p.LastError)
				}
			}
			return nil
		}); err != nil {
			return 0, err
		}
		sessions += count
	}
	return sessions, nil
}

func (l *Lab) applyObjects(ctx context.Context) error {
	for _, o := range l.file.Objects {
		if strings.Contains(o, "\n") {
			if err := l.tortie(ctx, strings.NewReader(o), "apply", "-f", "-"); err != nil {
				return err
			}
			continue
		}
		path := o
		if !filepath.IsAbs(path) {
			path = filepath.Join(l.file.dir, o)
		}
		if err := l.tortie(ctx, nil, "apply", "-f", path); err != nil {
			return err
		}
	}
	docs, err := l.manifest()
	if err != nil || len(docs) == 0 {
		return err
	}
	return l.tortie(ctx, strings.NewReader(string(docs)), "apply", "-f", "-")
}

func (l *Lab) attachAll(ctx context.Context) error {
	errs := make(chan error, len(l.file.Workloads))
	slots := make(chan struct{}, 4)
	for i := range l.file.Workloads {
		w := &l.file.Workloads[i]
		if _, err := l.net.make(w.Name); err != nil {
			return err
		}
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			a, err := l.attach(ctx, w)
			l.mu.Lock()
			l.addrs[w.Name] = a.Addresses
			l.mu.Unlock()
			errs <- err
		}()
	}
	var all []error
	for range l.file.Workloads {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// Down takes everything away: processes, namespaces, files. It goes on past what fails, and reports it.
func (l *Lab) Down(context.Context) error {
	errs := []error{l.run.stopAll(), l.net.remove()}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take lab %s down: %w", l.file.Name, err)
	}
	if err := os.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("take lab %s down: %w", l.file.Name, err)
	}
	_ = os.Remove(Root()) // only when it was the last
	return nil
}
