package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
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

	started time.Time // of Up

	ipv4, ipv6 bool // families that have a pool, since Up

	mu    sync.Mutex
	addrs map[string][]netip.Addr // of workloads, as tortie-cni answered
}

// saved is what a later command must know of a lab that is up.
type saved struct {
	File  *File                   `json:"file"`
	Addrs map[string][]netip.Addr `json:"addresses"`
}

// downLimit is how long a lab may take to be taken down, when something else waits for that.
const downLimit = 30 * time.Second

// Root is the folder that the labs of this user live in: what TORTIE_LAB_ROOT says, else /run/tortie-lab for root and one
// below XDG_RUNTIME_DIR or the folder of temporary files for others.
func Root() string {
	if dir := os.Getenv(rootVariable); dir != "" {
		return dir
	}
	if privileged() && os.Getuid() == 0 {
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
	l := at(f.Name, out)
	l.file, l.binary, l.plugin = f, self, filepath.Join(filepath.Dir(self), "tortie-cni")
	if _, err := os.Stat(l.plugin); err != nil {
		return nil, fmt.Errorf("lab: the CNI plugin must be beside %s: %w", self, err)
	}
	for _, n := range f.Nodes {
		if socket := l.querySocket(n.Name); len(socket) > maxSocketPath {
			return nil, fmt.Errorf("lab %s: the path %s has %d bytes, a socket's may have %d: use shorter names or set %s", f.Name, socket, len(socket), maxSocketPath, rootVariable)
		}
	}
	return l, nil
}

// maxSocketPath is what struct sockaddr_un holds (unix(7)), without the closing zero.
const maxSocketPath = 107

// at is the lab of a name with nothing but its place.
func at(name string, out io.Writer) *Lab {
	dir := filepath.Join(Root(), name)
	return &Lab{
		dir: dir, net: newTopology(filepath.Join(dir, "net")), run: processes{filepath.Join(dir, "log")}, out: out,
		addrs: map[string][]netip.Addr{}, file: &File{Name: name},
	}
}

func wrongName(name string) error {
	return fmt.Errorf("lab name %q: allowed are 1 to 32 of a-z, 0-9 and -", name)
}

func alreadyUp(name string) error {
	return fmt.Errorf("lab %s is up already, or was not taken down: tortie lab down %s", name, name)
}

func notUp(name string) error { return fmt.Errorf("lab %s is not up", name) }

// Open finds a lab that is up.
func Open(name string, out io.Writer) (*Lab, error) {
	if !nameRule.MatchString(name) {
		return nil, wrongName(name)
	}
	raw, err := os.ReadFile(filepath.Join(Root(), name, "lab.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, notUp(name)
	}
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	var s saved
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	if s.File == nil || s.File.Name != name {
		return nil, fmt.Errorf("lab %s: its file lab.json is of another lab: tortie lab down %s", name, name)
	}
	if err := s.File.checked(); err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	l, err := New(s.File, out)
	if err != nil {
		return nil, err
	}
	if s.Addrs != nil {
		l.addrs = s.Addrs
	}
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

// askFamilies asks the store which address families have a pool: workloads get an address of each.
func (l *Lab) askFamilies(ctx context.Context) error {
	text, err := l.Output(ctx, nil, "get", "ippools", "-o", "jsonpath={.items[*].spec.cidr}")
	if err != nil {
		return err
	}
	l.ipv4, l.ipv6 = false, false
	for word := range strings.FieldsSeq(text) {
		if p, err := netip.ParsePrefix(word); err == nil {
			l.ipv4, l.ipv6 = l.ipv4 || p.Addr().Is4(), l.ipv6 || p.Addr().Is6()
		}
	}
	if !l.ipv4 && !l.ipv6 && len(l.file.Workloads) > 0 {
		return errors.New("objects: workloads need an IPPool, and there is none")
	}
	return nil
}

// storeEnv is how the lab's store is reached, with the variables that Calico's tools use.
func (l *Lab) storeEnv() []string {
	return []string{"DATASTORE_TYPE=etcdv3", "ETCD_ENDPOINTS=" + l.storeURL()}
}

func (l *Lab) say(format string, args ...any) { fmt.Fprintf(l.out, format+"\n", args...) }

// step says that one more part stands, and when.
func (l *Lab) step(format string, args ...any) {
	l.say("%6.1f s  %s", time.Since(l.started).Seconds(), fmt.Sprintf(format, args...))
}

// Up builds the lab. Whatever fails is taken down again.
func (l *Lab) Up(ctx context.Context) error {
	if err := os.MkdirAll(Root(), 0o755); err != nil {
		return fmt.Errorf("lab %s: %w", l.file.Name, err)
	}
	if err := os.Mkdir(l.dir, 0o700); errors.Is(err, os.ErrExist) {
		return alreadyUp(l.file.Name)
	} else if err != nil {
		return fmt.Errorf("lab %s: %w", l.file.Name, err)
	}
	l.started = time.Now()
	for _, part := range []func(context.Context) error{l.base, l.cluster, l.workloads} {
		err := part(ctx)
		if ctx.Err() != nil { // what was cut off has nothing else to say
			err = ctx.Err()
		}
		if err != nil {
			return errors.Join(err, l.Down(context.WithoutCancel(ctx)))
		}
	}
	return nil
}

// base is what a lab stands on: the store, and namespaces joined by links.
func (l *Lab) base(ctx context.Context) error {
	if err := l.save(); err != nil {
		return err
	}
	if err := l.StartStore(); err != nil {
		return err
	}
	if err := l.net.build(l.file); err != nil {
		return err
	}
	made := count(len(l.file.Subnets), "subnet")
	if len(l.file.Routers) > 0 {
		made += ", " + count(len(l.file.Routers), "router")
	}
	l.step("%s, %s made", made, count(len(l.file.Nodes), "node"))
	if err := l.awaitStore(ctx); err != nil {
		return err
	}
	l.step("store answers at %s", l.storeURL())
	return nil
}

// cluster is agents and objects.
func (l *Lab) cluster(ctx context.Context) error {
	for _, n := range l.file.Nodes {
		if err := l.StartAgent(n.Name); err != nil {
			return err
		}
	}
	if err := l.applyObjects(ctx); err != nil {
		return err
	}
	if err := l.askFamilies(ctx); err != nil {
		return err
	}
	l.step("objects applied")
	for _, n := range l.file.Nodes {
		if err := l.awaitReady(ctx, n.Name); err != nil {
			return err
		}
		if err := l.labelNode(ctx, n); err != nil {
			return err
		}
	}
	l.step("%s ready", count(len(l.file.Nodes), "node"))
	return nil
}

// labelNode gives the Node object that the agent wrote the labels of the lab file.
func (l *Lab) labelNode(ctx context.Context, n Node) error {
	if len(n.Labels) == 0 {
		return nil
	}
	args := []string{"label", "--overwrite", "node", n.Name}
	for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
		args = append(args, k+"="+n.Labels[k])
	}
	return l.tortie(ctx, nil, args...)
}

// workloads attaches them, and has them answer.
func (l *Lab) workloads(ctx context.Context) error {
	if err := l.attachAll(ctx); err != nil {
		return err
	}
	if err := l.save(); err != nil {
		return err
	}
	if err := l.run.start("serve", nil, nil, l.binary, "lab", "serve", l.file.Name, "--dir", l.dir); err != nil {
		return err
	}
	if err := until(ctx, 10*time.Second, "servers in the workloads", func() error { return l.alive("serve", l.serving()) }); err != nil {
		return err
	}
	l.step("%s attached", count(len(l.file.Workloads), "workload"))
	return nil
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
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

// alive makes an error fatal when the process that it is of is gone, and says its last words.
func (l *Lab) alive(name string, err error) error {
	if err != nil && l.run.pid(name) == 0 {
		return fatal(fmt.Errorf("%s has ended: %s", name, l.run.tail(name)))
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

func (l *Lab) applyObjects(ctx context.Context) error {
	for _, o := range l.file.Objects {
		if strings.Contains(o, "\n") {
			if err := l.tortie(ctx, strings.NewReader(o), "apply", "-f", "-"); err != nil {
				return err
			}
			continue
		}
		if err := l.tortie(ctx, nil, "apply", "-f", l.file.path(o)); err != nil {
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
	for _, w := range l.file.Workloads {
		if _, err := l.net.make(w.Name); err != nil {
			return err
		}
	}
	errs := make([]error, len(l.file.Workloads))
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range l.file.Workloads {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() != nil {
				errs[i] = ctx.Err()
				return
			}
			_, errs[i] = l.Attach(ctx, &l.file.Workloads[i])
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// Down takes everything away: processes, namespaces, files. It goes on past what fails, and reports it. It needs nothing
// of the lab but its name, so it also takes half a lab away.
func (l *Lab) Down(context.Context) error {
	errs := []error{l.run.stopAll(), l.endStrays(), l.net.remove()}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take lab %s down: %w", l.file.Name, err)
	}
	if err := os.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("take lab %s down: %w", l.file.Name, err)
	}
	_ = os.Remove(Root()) // only when it was the last
	return nil
}
