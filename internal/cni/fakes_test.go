package cni

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// fakeStore is an allocator that never gives an address twice, and the store in which it puts endpoints.
type fakeStore struct {
	mu        sync.Mutex
	away      error
	next      int
	held      map[string][]netip.Addr // by handle
	requests  []AddressRequest
	endpoints map[model.WorkloadID]*intent.Endpoint
	changed   chan struct{}
}

func newStore() *fakeStore {
	return &fakeStore{held: map[string][]netip.Addr{}, endpoints: map[model.WorkloadID]*intent.Endpoint{}, changed: make(chan struct{})}
}

func (f *fakeStore) Assign(_ context.Context, r AddressRequest) ([]netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return nil, f.away
	}
	f.requests = append(f.requests, r)
	addrs := slices.Clone(r.Addresses)
	for _, a := range addrs {
		for _, other := range f.held {
			if slices.Contains(other, a) {
				return nil, fmt.Errorf("address %v is taken", a)
			}
		}
	}
	f.next++
	if r.Want4 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 65, byte(f.next >> 8), byte(f.next)}))
	}
	if r.Want6 {
		addrs = append(addrs, netip.MustParseAddr(fmt.Sprintf("fd65::%x", f.next)))
	}
	f.held[r.Handle] = append(f.held[r.Handle], addrs...)
	if r.Endpoint != nil {
		f.endpoints[r.Endpoint.Workload] = &intent.Endpoint{Workload: r.Endpoint.Workload, Profiles: r.Endpoint.Profiles, ContainerID: r.Endpoint.ContainerID}
		close(f.changed)
		f.changed = make(chan struct{})
	}
	return addrs, nil
}

func (f *fakeStore) Release(_ context.Context, handle string, w model.WorkloadID, containerID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return f.away
	}
	delete(f.held, handle)
	if ep := f.endpoints[w]; ep != nil && ep.ContainerID == containerID && containerID != "" {
		delete(f.endpoints, w)
	}
	return nil
}

func (f *fakeStore) setAway(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = err
}

// assigned counts the calls of Assign; asked is what they were, known the stored endpoints.
func (f *fakeStore) assigned() int { f.mu.Lock(); defer f.mu.Unlock(); return f.next }

func (f *fakeStore) asked() []AddressRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

func (f *fakeStore) known() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.endpoints) }

// restart begins to count anew, with the first address.
func (f *fakeStore) restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next, f.requests = 0, nil
}

func (f *fakeStore) handles() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.held)
}

func (f *fakeStore) pod(namespace, name, uid string, annotations map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := model.WorkloadID{Orchestrator: "k8s", Namespace: namespace, Workload: name, Endpoint: "eth0"}
	f.endpoints[id] = &intent.Endpoint{Workload: id, UID: uid, Annotations: annotations, Pools4: []string{"auto4"}, Pools6: []string{"auto6"}}
	close(f.changed)
	f.changed = make(chan struct{})
}

// fakeNode is the data path: a binding is a route to each address.
type fakeNode struct {
	store *fakeStore
	host  *kernel.Handle

	mu       sync.Mutex
	bound    map[model.WorkloadID]Binding
	notReady error
	bindFail error
	config   intent.Config
}

func (f *fakeNode) Workload(ctx context.Context, id model.WorkloadID, uid string) (*intent.Endpoint, error) {
	for {
		f.store.mu.Lock()
		ep, changed := f.store.endpoints[id], f.store.changed
		f.store.mu.Unlock()
		if ep != nil && (uid == "" || ep.UID == uid) {
			return ep, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *fakeNode) Bind(_ context.Context, b Binding) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bindFail != nil {
		return f.bindFail
	}
	l, err := f.host.Link(b.Interface)
	if err != nil {
		return err
	}
	for _, a := range b.Addresses {
		r := kernel.Route{Prefix: netip.PrefixFrom(a, a.BitLen()), Metric: 1024, Kind: kernel.Unicast, Protocol: 3, NextHops: []kernel.NextHop{{Link: l.Index}}}
		if errs, _ := f.host.WriteRoutes([]kernel.RouteWrite{{Route: r, Operation: kernel.RouteReplace}}); errs[0] != nil {
			return errs[0]
		}
	}
	f.bound[b.Workload] = b
	return nil
}

func (f *fakeNode) Unbind(_ context.Context, id model.WorkloadID, containerID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bound[id].ContainerID == containerID {
		delete(f.bound, id)
	}
	return nil
}

func (f *fakeNode) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.notReady
}

func (f *fakeNode) set(change func(*fakeNode)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeNode) Config() *intent.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.config
	return &c
}

func (f *fakeNode) binding(id model.WorkloadID) (Binding, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.bound[id]
	return b, ok
}

// testNode is a node in a namespace of its own, with a server that can be stopped and started.
type testNode struct {
	t      testing.TB
	ns     *kernel.Namespace
	host   *kernel.Handle
	dir    string
	socket string
	store  *fakeStore
	node   *fakeNode
	server *Server
	stop   func()
	crash  atomic.Pointer[func(string)]
}

func newTestNode(t testing.TB) *testNode {
	t.Helper()
	ns, err := kernel.NewNamespace()
	must(t, err)
	host, err := kernel.Open(ns)
	must(t, err)
	must(t, kernel.Sysctls{Namespace: ns}.WriteAll([]kernel.Setting{{Path: "net/ipv4/ip_forward", Value: "1"}, {Path: "net/ipv6/conf/all/forwarding", Value: "1"}}))
	n := &testNode{t: t, ns: ns, host: host, dir: t.TempDir(), store: newStore()}
	n.socket = filepath.Join(n.dir, "cni.sock")
	n.start()
	t.Cleanup(func() {
		n.stop()
		host.Close()
		_ = ns.Close()
	})
	return n
}

// start is the agent's: the journal is read, its bindings are facts again, then the server serves.
func (n *testNode) start() {
	n.t.Helper()
	crash := func(point string) {
		if crash := n.crash.Load(); crash != nil {
			(*crash)(point)
		}
	}
	j, err := OpenJournal(JournalOptions{Dir: filepath.Join(n.dir, "cni"), Node: "node1", Cluster: "c1", Crash: crash})
	must(n.t, err)
	n.node = &fakeNode{store: n.store, host: n.host, bound: map[model.WorkloadID]Binding{}}
	for _, b := range j.Load() {
		n.node.bound[b.Workload] = b
	}
	n.server, err = NewServer(Options{Socket: n.socket, Node: "node1", Journal: j, Allocator: n.store, Waiter: n.node, Namespace: n.ns, Crash: crash})
	must(n.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	server := n.server
	go func() { ended <- server.Serve(ctx) }()
	n.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Error(err)
		}
		n.stop = func() {}
	}
}

// send is one request as the plugin makes it.
func (n *testNode) send(r SocketRequest, netns *kernel.Namespace) (SocketResponse, error) {
	var resp SocketResponse
	if r.Version == 0 {
		r.Version = ProtocolVersion
	}
	c, err := net.Dial("unix", n.socket)
	if err != nil {
		return resp, err
	}
	defer func() { _ = c.Close() }()
	r.Netns = netns != nil
	body, err := json.Marshal(r)
	if err != nil {
		return resp, err
	}
	var rights []byte
	if netns != nil {
		rights = unix.UnixRights(netns.FD())
	}
	if _, _, err := c.(*net.UnixConn).WriteMsgUnix(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), rights, nil); err != nil {
		return resp, err
	}
	return readResponse(c)
}

func readResponse(c net.Conn) (SocketResponse, error) {
	var resp SocketResponse
	_ = c.SetReadDeadline(time.Now().Add(40 * time.Second))
	raw, err := io.ReadAll(c)
	if err != nil {
		return resp, err
	}
	if len(raw) < 4 {
		return resp, io.ErrUnexpectedEOF
	}
	return resp, json.Unmarshal(raw[4:], &resp)
}

// config of a network; extra is more JSON, beginning with a comma.
func config(extra string) json.RawMessage {
	return json.RawMessage(`{"cniVersion":"1.1.0","name":"k8s-pod-network","type":"calico","policy_setup_timeout_seconds":2,
		"ipam":{"type":"calico-ipam","assign_ipv4":"true","assign_ipv6":"true"}` + extra + `}`)
}

func podArgs(pod, uid string) string {
	return "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns1;K8S_POD_NAME=" + pod + ";K8S_POD_INFRA_CONTAINER_ID=x;K8S_POD_UID=" + uid
}

func (n *testNode) add(containerID, args string, conf json.RawMessage, netns *kernel.Namespace) (SocketResponse, error) {
	return n.send(SocketRequest{Command: "ADD", ContainerID: containerID, IfName: "eth0", Args: args, Config: conf}, netns)
}

func (n *testNode) mustAdd(containerID, args string, conf json.RawMessage, netns *kernel.Namespace) json.RawMessage {
	n.t.Helper()
	r, err := n.add(containerID, args, conf, netns)
	must(n.t, err)
	if r.Error != nil {
		n.t.Fatalf("ADD %s: %+v", containerID, *r.Error)
	}
	return r.Result
}

func (n *testNode) mustDel(containerID, args string, netns *kernel.Namespace) {
	n.t.Helper()
	r, err := n.send(SocketRequest{Command: "DEL", ContainerID: containerID, IfName: "eth0", Args: args, Config: config("")}, netns)
	must(n.t, err)
	if r.Error != nil {
		n.t.Fatalf("DEL %s: %+v", containerID, *r.Error)
	}
}

func (n *testNode) hasLink(name string) bool {
	_, err := n.host.Link(name)
	if err != nil && !errors.Is(err, kernel.ErrNoLink) {
		n.t.Fatal(err)
	}
	return err == nil
}

func pod(t testing.TB) *kernel.Namespace {
	t.Helper()
	ns, err := kernel.NewNamespace()
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// run executes a program inside a namespace.
func run(t *testing.T, ns *kernel.Namespace, args ...string) (string, error) {
	t.Helper()
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.Command(args[0], args[1:]...).CombinedOutput()
		return err
	})
	return string(out), err
}

var numbers = regexp.MustCompile(`@if\d+|(?m)^\d+: |link-netnsid \d+|qlen \d+`)

// describe is what "ip" shows of a namespace, without numbers that differ from run to run.
func describe(t *testing.T, ns *kernel.Namespace, commands ...string) string {
	t.Helper()
	var b strings.Builder
	for _, c := range commands {
		out, err := run(t, ns, strings.Fields(c)...)
		must(t, err)
		fmt.Fprintf(&b, "# %s\n", c)
		for line := range strings.Lines(numbers.ReplaceAllString(out, "")) {
			b.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
	}
	return b.String()
}

// golden compares with a file of testdata; UPDATE=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		must(t, os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", name, got, want)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
