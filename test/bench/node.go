package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/query"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
)

const nodeName = "bench-1"

// node is a store, one node with its agent, and workloads on it.
type node struct {
	dir     string
	program string
	server  *process
	agent   *process
	store   *etcd.Store
	ns      *kernel.Namespace
	wire    *kernel.Namespace // where the node's uplink ends
	pods    map[string]*pod
	size    scale // what the store holds so far

	profiles string // folder; empty: none
}

// process is a program under way.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func start(log string, ns *kernel.Namespace, env []string, argv ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the bench, which ends it in order
	run := p.cmd.Start
	if ns != nil {
		err = ns.Do(run)
	} else {
		err = run()
	}
	if err != nil {
		return nil, err
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) kill() {
	if p != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// startStore runs the built-in etcd and connects to it.
func startStore(program, dir string, fsync bool) (*process, *etcd.Store, error) {
	argv := []string{program, "store", "--dir", filepath.Join(dir, "store"), "--listen", "unix://" + filepath.Join(dir, "s")}
	if !fsync {
		argv = append(argv, "--no-fsync")
	}
	p, err := start(filepath.Join(dir, "store.log"), nil, nil, argv...)
	if err != nil {
		return nil, nil, err
	}
	s, err := etcd.Open(etcd.Config{Endpoints: []string{"unix://" + filepath.Join(dir, "s")}}, convert.Codec{})
	if err != nil {
		p.kill()
		return nil, nil, err
	}
	return p, s, nil
}

// newNode starts a store, a namespace with an uplink, and, when the cluster's objects are in, an agent.
func (b *bench) newNode(ctx context.Context, dir string, fsync bool) (n *node, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o700); err != nil {
		return nil, err
	}
	n = &node{dir: dir, program: b.program, pods: map[string]*pod{}, profiles: b.profile}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
			n = nil
		}
	}()
	if n.server, n.store, err = startStore(b.program, dir, fsync); err != nil {
		return n, err
	}
	if n.ns, err = kernel.NewNamespace(); err != nil {
		return n, err
	}
	if n.wire, err = kernel.NewNamespace(); err != nil {
		return n, err
	}
	if err = joined(n.ns, "eth0", n.wire, "node0", netip.MustParsePrefix("172.31.0.1/16")); err != nil {
		return n, err
	}
	if err = bootstrap(ctx, n.store); err != nil {
		return n, err
	}
	return n, n.startAgent(ctx)
}

// joined makes a veth pair between two namespaces, up, with an address on the first end.
func joined(a *kernel.Namespace, nameA string, b *kernel.Namespace, nameB string, addr netip.Prefix) error {
	h, err := kernel.Open(a)
	if err != nil {
		return err
	}
	defer h.Close()
	far, err := kernel.Open(b)
	if err != nil {
		return err
	}
	defer far.Close()
	return errors.Join(
		h.AddVeth(kernel.Veth{Name: nameA, PeerName: nameB, PeerNamespace: b}),
		h.AddAddress(nameA, addr), far.SetLinkUp(nameB), h.SetLinkUp(nameA))
}

// spawnAgent starts the agent and does not wait.
func (n *node) spawnAgent() (err error) {
	n.agent, err = start(filepath.Join(n.dir, "agent.log"), n.ns,
		[]string{"DATASTORE_TYPE=etcdv3", "ETCD_ENDPOINTS=unix://" + filepath.Join(n.dir, "s")},
		n.program, "agent", "--node", nodeName, "--run-dir", filepath.Join(n.dir, "run"), "--ip6", "none")
	return err
}

func (n *node) startAgent(ctx context.Context) error {
	if err := n.spawnAgent(); err != nil {
		return err
	}
	return n.awaitReady(ctx, 60*time.Second)
}

func (n *node) status(ctx context.Context) (query.Status, error) {
	c := query.NewClient(filepath.Join(n.dir, "run", "query.sock"))
	defer c.Close()
	return c.Status(ctx)
}

func (n *node) awaitReady(ctx context.Context, limit time.Duration) error {
	c := query.NewClient(filepath.Join(n.dir, "run", "query.sock"))
	defer c.Close()
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		s, err := c.Status(ctx)
		if err == nil && s.Ready {
			return nil
		}
		if err == nil {
			err = errors.New(strings.Join(s.NotReady, "; "))
		}
		select {
		case <-n.agent.done:
			log, _ := os.ReadFile(filepath.Join(n.dir, "agent.log"))
			return fmt.Errorf("the agent ended: %s", log[max(0, len(log)-2000):])
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("the agent is not ready after %v: %w", limit, err)
		}
	}
}

// settled waits until the agent has seen all that the store holds and the kernel has it.
func (n *node) settled(ctx context.Context, revision store.Revision, limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		s, err := n.status(ctx)
		if err != nil {
			return err
		}
		if s.Store.Revision >= uint64(revision) && s.Ready {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the agent has not reached revision %d after %v: at %d, %v", revision, limit, s.Store.Revision, s.NotReady)
		}
	}
}

// emptyKernel takes the agent's policy table away, as a boot does, and the agent's copy of the intent.
func (n *node) emptyKernel() error {
	if err := os.Remove(filepath.Join(n.dir, "run", "intent")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	conn, err := nftnl.Open(n.ns.FD())
	if err != nil {
		return err
	}
	batch := nftnl.NewBatch(nftnl.Inet, "tortie")
	batch.DeleteTable()
	return errors.Join(conn.Send(batch), conn.Close())
}

// pod is a workload of the node.
type pod struct {
	name, namespace, uid string
	ns                   *kernel.Namespace
	addr                 netip.Addr
}

// cni runs the plugin as a container runtime would; it returns the address and the plugin's own CPU time.
func (n *node) cni(ctx context.Context, command string, p *pod) (netip.Addr, time.Duration, error) {
	config, err := json.Marshal(map[string]any{
		"cniVersion": "1.1.0", "name": "tortie", "type": "tortie-cni", "socket": filepath.Join(n.dir, "run", "cni.sock"),
		"ipam": map[string]any{"type": "tortie-ipam", "assign_ipv4": "true", "assign_ipv6": "false"},
	})
	if err != nil {
		return netip.Addr{}, 0, err
	}
	plugin := filepath.Join(filepath.Dir(n.program), "tortie-cni")
	cmd := exec.CommandContext(ctx, plugin)
	id := "bench-" + p.name
	// The namespace is this process's to hold open; the plugin opens it by our descriptor.
	cmd.Env = []string{
		"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + id, "CNI_IFNAME=eth0", "CNI_PATH=" + filepath.Dir(plugin),
		fmt.Sprintf("CNI_NETNS=/proc/%d/fd/%d", os.Getpid(), p.ns.FD()),
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=" + p.namespace + ";K8S_POD_NAME=" + p.name +
			";K8S_POD_INFRA_CONTAINER_ID=" + id + ";K8S_POD_UID=" + p.uid,
	}
	cmd.Stdin = bytes.NewReader(config)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("tortie-cni %s for %s: %w: %s%s", command, p.name, err, out, stderr.String())
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if command != "ADD" {
		return netip.Addr{}, cpu, nil
	}
	var result struct {
		IPs []struct {
			Address netip.Prefix `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal(out, &result); err != nil || len(result.IPs) == 0 {
		return netip.Addr{}, 0, fmt.Errorf("tortie-cni ADD for %s answered %s (%w)", p.name, out, err)
	}
	return result.IPs[0].Address.Addr(), cpu, nil
}

func (n *node) close() error {
	n.agent.kill()
	var errs []error
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	n.server.kill()
	for _, p := range n.pods {
		errs = append(errs, p.ns.Close())
	}
	for _, ns := range []*kernel.Namespace{n.ns, n.wire} {
		if ns != nil {
			errs = append(errs, ns.Close())
		}
	}
	return errors.Join(errs...)
}
