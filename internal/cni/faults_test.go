package cni

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCrashAtEveryPoint kills the command at each write in turn, restarts the agent, and lets the runtime do what it
// does: DEL what failed, ADD anew. No address, interface or entry may be left, and none be given twice.
func TestCrashAtEveryPoint(t *testing.T) {
	n := newTestNode(t)
	n.store.pod("ns1", "web-0", "u1", nil)
	args := podArgs("web-0", "u1")
	points := map[string]bool{}
	crashAt := func(k int) {
		seen := 0
		var mu sync.Mutex
		crash := func(point string) {
			mu.Lock()
			seen++
			hit := seen == k
			if hit {
				points[point] = true
			}
			mu.Unlock()
			if hit {
				runtime.Goexit() // the connection breaks, nothing is undone
			}
		}
		n.crash.Store(&crash)
	}
	restart := func() {
		n.crash.Store(nil)
		n.stop()
		n.start()
	}
	runs := 0
	for k := 1; ; k++ {
		ns, again := pod(t), pod(t)
		crashAt(k)
		r, err := n.add(fmt.Sprintf("a%d", k), args, config(""), ns)
		if err == nil && r.Error == nil {
			n.crash.Store(nil)
			n.mustDel(fmt.Sprintf("a%d", k), args, ns)
			break
		}
		runs++
		restart()
		n.mustAdd(fmt.Sprintf("b%d", k), args, config(""), again)
		n.mustDel(fmt.Sprintf("a%d", k), args, ns)
		if !n.hasLink("caliabc48332923") {
			t.Fatalf("ADD crashed at write %d: the next container lost its interface", k)
		}
		// The same DEL crashes too, then is repeated.
		crashAt(k)
		_, err = n.send(SocketRequest{Command: "DEL", ContainerID: fmt.Sprintf("b%d", k), IfName: "eth0", Args: args, Config: config("")}, again)
		if err != nil {
			runs++
		}
		restart()
		n.mustDel(fmt.Sprintf("b%d", k), args, again)
		left := n.server.o.Journal.list(func(entry) bool { return true })
		if n.hasLink("caliabc48332923") || n.store.handles() != 0 || len(left) != 0 {
			t.Fatalf("crash at write %d: link %v, %d handles, journal %+v", k, n.hasLink("caliabc48332923"), n.store.handles(), left)
		}
	}
	t.Logf("%d crashes at %d named points", runs, len(points))
	if len(points) < 18 {
		t.Errorf("only %d crash points were met: %v", len(points), points)
	}
}

func TestManyAtOnce(t *testing.T) {
	n := newTestNode(t)
	const count = 20
	var all sync.WaitGroup
	for i := range count {
		ns := pod(t)
		all.Go(func() {
			id := fmt.Sprintf("container%d", i)
			id = fmt.Sprintf("%02d%s", i, id)
			r, err := n.add(id, "", config(`,"policy_setup_timeout_seconds":20`), ns)
			if err != nil || r.Error != nil {
				t.Errorf("ADD %s: %v %+v", id, err, r.Error)
				return
			}
			if i%2 == 0 {
				r, err = n.send(SocketRequest{Command: "DEL", ContainerID: id, IfName: "eth0", Config: config("")}, ns)
				if err != nil || r.Error != nil {
					t.Errorf("DEL %s: %v %+v", id, err, r.Error)
				}
			}
		})
	}
	all.Wait()
	if got := len(n.server.o.Journal.Load()); got != count/2 || n.store.handles() != count/2 {
		t.Errorf("%d bindings, %d handles; want %d", got, n.store.handles(), count/2)
	}
}

// TestDelEndsAWaitingAdd: the runtime gave up on a container while its ADD still waits for the pod.
func TestDelEndsAWaitingAdd(t *testing.T) {
	n := newTestNode(t)
	ns := pod(t)
	answer := make(chan SocketResponse, 1)
	go func() {
		r, _ := n.add("c1", podArgs("late", "u"), config(`,"policy_setup_timeout_seconds":60`), ns)
		answer <- r
	}()
	eventually(t, "ADD is in the journal", func() bool { return len(n.server.o.Journal.list(func(entry) bool { return true })) == 1 })
	start := time.Now()
	n.mustDel("c1", podArgs("late", "u"), ns)
	if r := <-answer; r.Error == nil || r.Error.Code != 11 || time.Since(start) > 5*time.Second {
		t.Errorf("ADD: %+v after %v", r.Error, time.Since(start))
	}
}

// TestTooManyWaiting: the one after the 64th is told at once to come again, and places become free again.
func TestTooManyWaiting(t *testing.T) {
	n := newTestNode(t)
	ns := pod(t)
	var all sync.WaitGroup
	for i := range maxWaiting {
		all.Go(func() {
			_, _ = n.add(fmt.Sprintf("c%d", i), podArgs(fmt.Sprintf("never%d", i), "u"), config(""), ns)
		})
	}
	eventually(t, "64 are waiting", func() bool { return len(n.server.slots) == maxWaiting })
	start := time.Now()
	r, err := n.add("more", "", config(""), ns)
	if must(t, err); r.Error == nil || r.Error.Code != 11 || !strings.Contains(r.Error.Msg, "64 requests are waiting") || time.Since(start) > time.Second {
		t.Errorf("the 65th: %+v after %v", r.Error, time.Since(start))
	}
	all.Wait()
	n.mustAdd("more", "", config(""), ns)
}

func TestMalformedRequests(t *testing.T) {
	n := newTestNode(t)
	for name, raw := range map[string]string{
		"too long": "\xff\xff\xff\xff", "empty": "\x00\x00\x00\x00", "not JSON": "\x00\x00\x00\x03{{{",
		"version": "\x00\x00\x00\x10{\"version\":99}  ", "claims netns": "\x00\x00\x00\x1c{\"version\":1,\"netns\":true}  ",
	} {
		c, err := net.Dial("unix", n.socket)
		must(t, err)
		if _, err := c.Write([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		r, err := readResponse(c)
		if err != nil || r.Error == nil || r.Error.Code != 6 {
			t.Errorf("%s: %+v, %v", name, r.Error, err)
		}
		_ = c.Close()
	}
	for command, code := range map[string]uint{"": 4, "NONSENSE": 4} {
		r, err := n.send(SocketRequest{Command: command, ContainerID: "c", IfName: "eth0", Config: config("")}, nil)
		if err != nil || r.Error == nil || r.Error.Code != code {
			t.Errorf("command %q: %+v %v", command, r.Error, err)
		}
	}
	for _, id := range []string{"../../etc/passwd", "", "a/b", strings.Repeat("x", 300)} {
		if r, err := n.add(id, "", config(""), pod(t)); err != nil || r.Error == nil {
			t.Errorf("container ID %q was accepted (%v)", id, err)
		}
	}
	f, err := os.Open("/dev/null")
	must(t, err)
	defer func() { _ = f.Close() }()
	c, err := net.Dial("unix", n.socket)
	must(t, err)
	defer func() { _ = c.Close() }()
	if _, _, err := c.(*net.UnixConn).WriteMsgUnix([]byte{0, 0, 0, 2, '{', '}'}, unix.UnixRights(int(f.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	if r, err := readResponse(c); err != nil || r.Error == nil || !strings.Contains(r.Error.Msg, "not a namespace") {
		t.Errorf("a descriptor that is no namespace: %+v, %v", r.Error, err)
	}
	info, err := os.Stat(n.socket)
	if must(t, err); info.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v", info.Mode().Perm())
	}
}

func TestJournalFilesThatCannotBeUsed(t *testing.T) {
	n := newTestNode(t)
	ns := pod(t)
	n.mustAdd("good", "", config(""), ns)
	n.mustAdd("bad", "", config(""), pod(t))
	n.stop()
	dir := filepath.Join(n.dir, "cni")
	path := filepath.Join(dir, "bad.eth0.json")
	raw, err := os.ReadFile(path)
	must(t, err)
	for name, change := range map[string]func(string) string{
		"truncated": func(s string) string { return s[:len(s)/2] }, "empty": func(string) string { return "" },
		"newer":      func(s string) string { return strings.Replace(s, `"format":1`, `"format":2`, 1) },
		"other node": func(s string) string { return strings.Replace(s, `"node":"node1"`, `"node":"node2"`, 1) },
		"one byte":   func(s string) string { return strings.Replace(s, `"calibad"`, `"calibae"`, 1) },
	} {
		must(t, os.WriteFile(path, []byte(change(string(raw))), 0o600))
		j, err := OpenJournal(JournalOptions{Dir: dir, Node: "node1", Cluster: "c1"})
		must(t, err)
		if len(j.Problems()) != 1 || len(j.Load()) != 1 || j.Load()[0].ContainerID != "good" {
			t.Errorf("%s: problems %v, bindings %v", name, j.Problems(), j.Load())
		}
		if _, err := os.Stat(filepath.Join(dir, "aside", "bad.eth0.json")); err != nil {
			t.Errorf("%s: not moved aside: %v", name, err)
		}
	}
	n.start()
	if n.mustAdd("good", "", config(""), ns); n.store.assigned() != 2 {
		t.Error("the binding that stands was made anew after the restart")
	}
}

// TestPlugin runs the real tortie-cni against the server.
func TestPlugin(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "tortie-cni")
	build := exec.Command("go", "build", "-o", bin, "../../cmd/tortie-cni")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	n := newTestNode(t)
	ns := pod(t)
	netns := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD())
	plugin := func(name, command, extra string) (string, error) {
		c := exec.Command(bin)
		c.Args[0] = name
		c.Env = []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_PATH=/nonexistent", "CNI_NETNS=" + netns, "TORTIE_CNI_SOCKET=" + n.socket}
		c.Stdin = strings.NewReader(string(config(extra)))
		out, err := c.Output()
		return string(out), err
	}
	succeed := func(name, command, text string) {
		t.Helper()
		if out, err := plugin(name, command, ""); err != nil || !strings.Contains(out, text) {
			t.Errorf("%s %s: %v\n%s", name, command, err, out)
		}
	}
	succeed("calico", "VERSION", `"1.1.0"`)
	succeed("calico", "STATUS", "")
	succeed("calico", "ADD", `"sandbox":"`+netns+`"`)
	succeed("calico", "CHECK", "")
	succeed("tortie-cni", "GC", "")
	if n.hasLink("calic1") {
		t.Error("GC without valid attachments left the interface")
	}
	succeed("calico", "DEL", "")
	succeed("calico-ipam", "ADD", `"10.65.0.2/32"`)
	succeed("tortie-ipam", "DEL", "")
	succeed("tortie-cni", "ADD", `"calic1"`)
	// A delegated IPAM plugin is run by this one, and its addresses are used as they are.
	folder := t.TempDir()
	log := filepath.Join(folder, "log")
	script := "#!/bin/sh\ncat >/dev/null\necho $CNI_COMMAND >>" + log + "\n[ $CNI_COMMAND = ADD ] && echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.7.7.7/24\"}]}'\nexit 0\n"
	must(t, os.WriteFile(filepath.Join(folder, "fake-ipam"), []byte(script), 0o755))
	delegated := func(command string) string {
		c := exec.Command(bin)
		c.Env = []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=d1", "CNI_IFNAME=eth0", "CNI_PATH=" + folder, "CNI_NETNS=" + netns, "TORTIE_CNI_SOCKET=" + n.socket, "PATH=" + os.Getenv("PATH")}
		c.Stdin = strings.NewReader(`{"cniVersion":"1.1.0","name":"k8s-pod-network","type":"tortie-cni","ipam":{"type":"fake-ipam"}}`)
		out, err := c.Output()
		if err != nil {
			t.Errorf("%s with a delegated IPAM plugin: %v\n%s", command, err, out)
		}
		return string(out)
	}
	n.mustDel("c1", "", ns)
	if out := delegated("ADD"); !strings.Contains(out, `"10.7.7.7/32"`) {
		t.Errorf("ADD with a delegated IPAM plugin: %s", out)
	}
	delegated("CHECK")
	delegated("DEL")
	if raw, err := os.ReadFile(log); err != nil || string(raw) != "ADD\nCHECK\nDEL\n" {
		t.Errorf("the delegated plugin was called: %q, %v", raw, err)
	}
	succeed("tortie-cni", "ADD", `"calic1"`)

	other := exec.Command(bin)
	other.Env = []string{"CNI_COMMAND=STATUS", "CNI_PATH=/", "TORTIE_CNI_SOCKET=" + n.socket}
	other.Stdin = strings.NewReader(string(config("")))
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	must(t, os.Chmod(n.socket, 0o666), os.Chmod(filepath.Dir(n.dir), 0o755), os.Chmod(filepath.Dir(filepath.Dir(bin)), 0o755))
	if out, err := other.Output(); err == nil || !strings.Contains(string(out), "only root may use this socket") {
		t.Errorf("another user's request: %v\n%s", err, out)
	}
	n.stop()
	if out, err := plugin("tortie-cni", "ADD", ""); err == nil || !strings.Contains(out, `"code": 11`) {
		t.Errorf("ADD without an agent: %v\n%s", err, out)
	}
	if out, err := plugin("tortie-cni", "STATUS", ""); err == nil || !strings.Contains(out, `"code": 50`) {
		t.Errorf("STATUS without an agent: %v\n%s", err, out)
	}
	succeed("tortie-cni", "DEL", "")
	n.start()
	eventually(t, "the spooled DEL is done", func() bool { return !n.hasLink("calic1") && n.store.handles() == 0 })
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"version":1,"command":"ADD","containerID":"c","ifName":"eth0","args":"K8S_POD_NAME=a;K8S_POD_NAMESPACE=b;IP=10.0.0.1","config":{"cniVersion":"1.0.0","name":"n"}}`))
	f.Add([]byte(`{"version":1,"command":"GC","config":{"name":"n","ipam":{"type":"calico-ipam","assign_ipv4":"true"},"cni.dev/valid-attachments":[{}]}}`))
	s := &Server{}
	f.Fuzz(func(t *testing.T, body []byte) {
		raw, err := decodeRequest(body)
		if err != nil {
			return
		}
		r, err := s.parse(raw, nil)
		if err != nil {
			return
		}
		if r.raw.Command == "ADD" && strings.ContainsAny(r.raw.ContainerID+r.raw.IfName, "/\x00") {
			t.Errorf("accepted %q %q as part of a file's name", r.raw.ContainerID, r.raw.IfName)
		}
		_, _ = delegated(r.conf)
	})
}

func FuzzJournalFile(f *testing.F) {
	f.Add([]byte(`{"format":1,"node":"n","checksum":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","entry":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if e, err := decodeFile(raw, "n", ""); err == nil && e.Binding.ContainerID == "" {
			t.Error("accepted an entry without a container")
		}
	})
}
