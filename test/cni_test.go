package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/tortie-net/tortie/internal/lab"
)

const cniLab = `
name: %s
subnets: [{name: lan, cidr: 172.30.16.0/24, cidr6: "fd00:30:16::/64"}]
nodes: [{name: %[1]s-1}]
objects:` + meshPools

func until(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// inUse is how many addresses of a lab are assigned, as the command line counts them.
func inUse(t *testing.T, l *lab.Lab) string {
	t.Helper()
	out, err := l.Output(t.Context(), nil, "ipam", "show")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A runtime that is not Kubernetes uses the plugin through the CNI project's own library, as cnitool does, in every
// version of the specification that people have.
func TestCNIRuntimeVersions(t *testing.T) {
	l := startLab(t, fmt.Sprintf(cniLab, "versions"))
	empty := inUse(t, l)
	base := newNetwork(t, l, "versions-1", "net", "1.0.0", "")
	places := map[string]place{"base": base.add("base")}
	listen(t, places["base"].ns, 8080)
	for i, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			n := newNetwork(t, l, "versions-1", "net", version, "")
			name := fmt.Sprint("box", i)
			p := n.add(name)
			if !p.addr[4].IsValid() || !p.addr[6].IsValid() {
				t.Fatalf("addresses %v, want both families", p.addr)
			}
			cached, err := n.cni.GetNetworkCachedResult(n.config, n.runtime(name))
			if err != nil || cached.Version() != version {
				t.Errorf("the result is of version %v, %v", cached, err)
			}
			listen(t, p.ns, 8080)
			places[name] = p
			check(t, places, name+" base tcp/8080 ok", "base "+name+" tcp/8080 ok")
			again, err := n.tryAdd(name)
			if err != nil || again.addr[4] != p.addr[4] {
				t.Errorf("ADD again: %v, %v; want the same addresses", again.addr, err)
			}
			if version == "0.3.1" { // has no CHECK
				return
			}
			if err := n.cni.CheckNetwork(until(t), n.config, n.runtime(name)); err != nil {
				t.Errorf("CHECK: %v", err)
			}
			inside(t, p.ns, "ip", "link", "set", "eth0", "down")
			var coded *types.Error
			if err := n.cni.CheckNetwork(until(t), n.config, n.runtime(name)); !errors.As(err, &coded) || coded.Code == 0 {
				t.Errorf("CHECK with eth0 down: %v; want a CNI error", err)
			}
		})
	}
	base.remove("base")
	for i, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		n := newNetwork(t, l, "versions-1", "net", version, "")
		for range 2 { // DEL twice is no error
			n.remove(fmt.Sprint("box", i))
		}
	}
	if now := inUse(t, l); strings.Count(now, "0 (0%)") != strings.Count(empty, "0 (0%)") {
		t.Errorf("addresses are left:\n%s", now)
	}
}

// STATUS and GC of version 1.1.0.
func TestCNIStatusAndGC(t *testing.T) {
	l := startLab(t, fmt.Sprintf(cniLab, "collect"))
	empty := inUse(t, l)
	n := newNetwork(t, l, "collect-1", "net", "1.1.0", "")
	list, err := libcni.NetworkConfFromBytes([]byte(`{"cniVersion": "1.1.0", "name": "net", "plugins": [` + string(n.config.Bytes) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cni.GetStatusNetworkList(until(t), list); err != nil {
		t.Errorf("STATUS: %v", err)
	}
	n.add("kept")
	n.add("forgotten")
	// The runtime that collects has lost its memory: only the plugin knows of the second.
	collector := libcni.NewCNIConfigWithCacheDir([]string{bin}, t.TempDir(), nil)
	valid := []types.GCAttachment{{ContainerID: "kept", IfName: "eth0"}}
	if err := collector.GCNetworkList(until(t), list, &libcni.GCArgs{ValidAttachments: valid}); err != nil {
		t.Fatalf("GC: %v", err)
	}
	if err := n.cni.CheckNetwork(until(t), n.config, n.runtime("kept")); err != nil {
		t.Errorf("CHECK of what GC was to keep: %v", err)
	}
	if err := n.cni.CheckNetwork(until(t), n.config, n.runtime("forgotten")); err == nil {
		t.Error("CHECK of what GC was to collect succeeds")
	}
	if out, err := l.Output(t.Context(), nil, "get", "workloadendpoints", "-A"); err != nil || strings.Contains(out, "forgotten") || !strings.Contains(out, "kept") {
		t.Errorf("endpoints after GC: %v\n%s", err, out)
	}
	if err := collector.GCNetworkList(until(t), list, &libcni.GCArgs{}); err != nil {
		t.Fatalf("GC of everything: %v", err)
	}
	if now := inUse(t, l); strings.Count(now, "0 (0%)") != strings.Count(empty, "0 (0%)") {
		t.Errorf("addresses are left:\n%s", now)
	}
	if err := l.KillAgent("collect-1"); err != nil {
		t.Fatal(err)
	}
	var coded *types.Error
	if err := n.cni.GetStatusNetworkList(until(t), list); !errors.As(err, &coded) || coded.Code != types.ErrPluginNotAvailable {
		t.Errorf("STATUS without agent: %v; want code %d", err, types.ErrPluginNotAvailable)
	}
}

// program writes a CNI plugin that is a shell script.
func program(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Under somebody else's main plugin, tortie-cni is an IPAM plugin.
func TestPlainIPAMPlugin(t *testing.T) {
	l := startLab(t, fmt.Sprintf(cniLab, "plain"))
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(bin, "tortie-cni"), filepath.Join(dir, "tortie-ipam")); err != nil {
		t.Fatal(err)
	}
	program(t, dir, "some-main", `exec "`+dir+`/tortie-ipam"`+"\n") // a main plugin that adds no interface of its own
	empty := inUse(t, l)
	n := newNetwork(t, l, "plain-1", "plain", "1.0.0", "", dir)
	raw := strings.Replace(string(n.config.Bytes), "tortie-cni", "some-main", 1)
	var err error
	if n.config, err = libcni.NetworkPluginConfFromBytes([]byte(raw)); err != nil {
		t.Fatal(err)
	}
	p, q := n.add("one"), n.add("two")
	if !p.addr[4].IsValid() || !p.addr[6].IsValid() || p.addr[4] == q.addr[4] {
		t.Errorf("addresses %v and %v", p.addr, q.addr)
	}
	out, err := l.Output(t.Context(), nil, "ipam", "show", "--ip", p.addr[4].String())
	if err != nil || !strings.Contains(out, "in use") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := n.cni.CheckNetwork(until(t), n.config, n.runtime("one")); err != nil {
		t.Errorf("CHECK: %v", err)
	}
	n.remove("one")
	n.remove("two")
	if now := inUse(t, l); strings.Count(now, "0 (0%)") != strings.Count(empty, "0 (0%)") {
		t.Errorf("addresses are left:\n%s", now)
	}
}

// Addresses may come from another IPAM plugin, as from host-local: it is run for ADD, CHECK and DEL, its addresses and
// routes are used, and a failed ADD gives them back.
func TestDelegatedIPAM(t *testing.T) {
	l := startLab(t, fmt.Sprintf(cniLab, "delegate"))
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	program(t, dir, "some-ipam", `cat > /dev/null
echo "$CNI_COMMAND $CNI_CONTAINERID" >> `+log+`
n=5; [ "$CNI_CONTAINERID" = two ] && n=6
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.77.0.'$n'/24", "gateway": "10.77.0.1"}], "routes": [{"dst": "10.0.0.0/8"}], "dns": {}}'
exit 0
`)
	n := newNetwork(t, l, "delegate-1", "hosts", "1.0.0", `{"type": "some-ipam"}`, dir)
	one, two := n.add("one"), n.add("two")
	if one.addr[4].String() != "10.77.0.5" || two.addr[4].String() != "10.77.0.6" {
		t.Fatalf("addresses %v and %v, want the plugin's", one.addr, two.addr)
	}
	listen(t, two.ns, 8080)
	check(t, map[string]place{"one": one, "two": two}, "one two tcp/8080 ok")
	routes := inside(t, one.ns, "ip", "route")
	if !strings.Contains(routes, "10.0.0.0/8") || strings.Contains(routes, "default") {
		t.Errorf("routes inside, want those of the plugin:\n%s", routes)
	}
	if err := n.cni.CheckNetwork(until(t), n.config, n.runtime("one")); err != nil {
		t.Errorf("CHECK: %v", err)
	}
	n.remove("one")
	if err := l.KillAgent("delegate-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.tryAdd("three"); err == nil {
		t.Error("ADD without agent succeeds")
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Fields(string(raw)), strings.Fields("ADD one ADD two CHECK one DEL one ADD three DEL three"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the plugin was called %v, want %v", got, want)
	}
}
