package lab_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is the folder of the programs under test.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tortie-lab-bin-")
		if err == nil {
			err = os.Chmod(dir, 0o755) // an ordinary user runs them too
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		build := exec.Command("go", "build", "-o", dir+"/", "../../cmd/tortie", "../../cmd/tortie-cni")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

const labText = `
name: %s
subnets:
  - {name: left, cidr: 172.30.1.0/24, cidr6: "fd00:30:1::/64"}
  - {name: right, cidr: 172.30.2.0/24, cidr6: "fd00:30:2::/64"}
routers: [{name: r, subnets: [left, right]}]
nodes:
  - {name: l1, subnet: left, labels: {rack: a}}
  - {name: l2, subnet: left}
  - {name: r1, subnet: right, ports: [{port: 9000}]}
objects:
  - |
    apiVersion: projectcalico.org/v3
    kind: IPPool
    metadata: {name: pods4}
    spec: {cidr: 10.97.0.0/16, ipipMode: Never, vxlanMode: Never}
    ---
    apiVersion: projectcalico.org/v3
    kind: IPPool
    metadata: {name: pods6}
    spec: {cidr: "fd00:10:97::/48", ipipMode: Never, vxlanMode: Never}
    ---
    apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: only-ping, namespace: default}
    spec:
      selector: app == 'shy'
      types: [Ingress]
      ingress: [{action: Allow, protocol: ICMP}, {action: Allow, protocol: ICMPv6}]
workloads:
  - {name: a, node: l1}
  - {name: b, node: l2, ports: [{protocol: udp, port: 53}]}
  - {name: shy, node: l2, labels: {app: shy}}
  - {name: c, node: r1}
expect:
  - {from: l1, to: r1, verdict: allow}
  - {from: l1, to: r1, protocol: ICMP, verdict: allow}
  - {from: l2, to: r, verdict: allow}
  - {from: a, to: b, verdict: allow}
  - {from: a, to: shy, protocol: ICMP, verdict: allow}
  - {from: a, to: shy, verdict: deny}
  - {from: l2, to: shy, verdict: allow}
  - {from: a, to: l1, verdict: deny}
  - {from: a, to: 172.30.1.11, verdict: allow}
  - {from: r1, to: c, verdict: allow}
`

// place is where a test's labs live: a host of its own, that is, a network namespace, and a folder.
type place struct {
	t    *testing.T
	dir  string // of lab files; world readable
	root string // of labs
	user uint32 // who runs them
	ns   *os.File
}

const nobody = 65534

// newPlace makes a host for one test. Its programs run in a network namespace of their own, so that what a lab did to its
// host shows, whatever the machine does meanwhile.
func newPlace(t *testing.T, user uint32) *place {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	dir, err := os.MkdirTemp("", "tl-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, int(user), int(user)); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("sleep", "600")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ns.Close()
		_ = holder.Process.Kill()
		_ = holder.Wait()
	})
	return &place{t: t, dir: dir, root: filepath.Join(dir, "l"), user: user, ns: ns}
}

// command is a run of tortie there.
func (p *place) command(args ...string) *exec.Cmd {
	enter := []string{"--net=/proc/self/fd/3"}
	if p.user != 0 {
		enter = append(enter, "setpriv", fmt.Sprintf("--reuid=%d", p.user), fmt.Sprintf("--regid=%d", p.user), "--clear-groups")
	}
	cmd := exec.Command("nsenter", append(append(enter, filepath.Join(bin, "tortie")), args...)...)
	cmd.ExtraFiles = []*os.File{p.ns}
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "TORTIE_LAB_ROOT="+p.root)
	return cmd
}

// run runs tortie there and returns all that it printed.
func (p *place) run(args ...string) (string, int) {
	out, err := p.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Errorf("tortie %s: %v", strings.Join(args, " "), err)
		return string(out), -1
	}
	code := 0
	if exit != nil {
		code = exit.ExitCode()
	}
	return string(out), code
}

// must is run that must succeed and print certain words.
func (p *place) must(words []string, args ...string) string {
	p.t.Helper()
	out, code := p.run(args...)
	if code != 0 {
		p.t.Fatalf("tortie %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			p.t.Errorf("tortie %s: %q is missing in\n%s", strings.Join(args, " "), w, out)
		}
	}
	return out
}

// refuses is run that must fail and print certain words.
func (p *place) refuses(word string, args ...string) {
	p.t.Helper()
	out, code := p.run(args...)
	if code == 0 || !strings.Contains(out, word) {
		p.t.Errorf("tortie %s: exit %d, want a failure that says %q:\n%s", strings.Join(args, " "), code, word, out)
	}
}

func (p *place) write(name, text string) string {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return name
}

// host is what a lab must not change on its host: links, addresses, routes, rules, nft, settings.
func (p *place) host() string {
	p.t.Helper()
	script := `ip -o link; ip -o addr; ip route show table all; ip -6 route show table all; ip rule; nft list ruleset
		cd /proc/sys/net && grep -r . ipv4/conf ipv6/conf ipv4/ip_forward netfilter/nf_conntrack_tcp_loose 2>/dev/null | grep -v stable_secret | sort`
	cmd := exec.Command("nsenter", "--net=/proc/self/fd/3", "sh", "-c", script)
	cmd.ExtraFiles = []*os.File{p.ns}
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("look at the host: %v\n%s", err, out)
	}
	return string(out)
}

// leftovers is what still stands of the labs: processes, mounts, files.
func (p *place) leftovers() string {
	var all []string
	if entries, err := os.ReadDir(p.root); err == nil {
		all = append(all, fmt.Sprintf("the folder %s with %d entries", p.root, len(entries)))
		for _, e := range entries {
			all = append(all, "file "+e.Name())
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, p.root) {
			all = append(all, "mount "+strings.TrimSpace(line))
		}
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, proc := range procs {
		env, _ := os.ReadFile(filepath.Join(proc, "environ")) // empty for a zombie
		cmdline, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		if bytes.Contains(env, []byte("TORTIE_LAB_ROOT="+p.root)) || bytes.Contains(cmdline, []byte(p.root)) {
			all = append(all, fmt.Sprintf("process %s: %s", filepath.Base(proc), bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return strings.Join(all, "\n")
}

// gone waits until nothing of the labs is left: the kernel takes the last of a world away after its first process.
func (p *place) gone() {
	p.t.Helper()
	left := ""
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if left = p.leftovers(); left == "" {
			return
		}
	}
	p.t.Errorf("left behind:\n%s", left)
}

func users(t *testing.T, test func(t *testing.T, p *place)) {
	for name, user := range map[string]uint32{"root": 0, "nobody": nobody} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newPlace(t, user))
		})
	}
}

// A lab is built, shown and taken away in one run, by root and by an ordinary user.
func TestRun(t *testing.T) {
	users(t, func(t *testing.T, p *place) {
		before := p.host()
		file := p.write("lab.yaml", fmt.Sprintf(labText, "one"))
		out := p.must([]string{"2 subnets, 1 router, 3 nodes made", "store answers", "3 nodes ready", "4 workloads attached",
			"12 BGP session ends Established", "19 expectations hold, 0 do not", "IPv6 from \\ to"}, "lab", "run", file)
		for line := range strings.Lines(out) {
			if len([]rune(line)) > 101 {
				t.Errorf("wider than 100 columns: %s", line)
			}
		}
		p.gone()
		if after := p.host(); after != before {
			t.Errorf("the host is another. Before:\n%s\nafter:\n%s", before, after)
		}
	})
}

// An expectation that does not hold fails the run, and the answer says which.
func TestRunFails(t *testing.T) {
	p := newPlace(t, 0)
	text := strings.Replace(fmt.Sprintf(labText, "wrong"), "to: shy, verdict: deny", "to: shy, verdict: allow, within: 1s", 1)
	file := p.write("lab.yaml", text)
	p.refuses("a → shy:8080/TCP allow over IPv4: not within 1s: the answer was: silence", "lab", "run", file)
	p.gone()
}

// A lab that stays up can be looked at and worked in, until it is taken down.
func TestUp(t *testing.T) {
	users(t, func(t *testing.T, p *place) {
		file := p.write("lab.yaml", fmt.Sprintf(labText, "stays"))
		p.must([]string{"ETCD_ENDPOINTS=unix://" + p.root + "/stays/store.sock"}, "lab", "up", file)
		p.must([]string{"stays  3      4"}, "lab", "status")
		p.must([]string{"172.30.1.10, fd00:30:1::a  ready  1          4 of 4 Established", "default/b"}, "lab", "status", "stays")
		p.must([]string{"eth0"}, "lab", "exec", "stays", "a", "--", "ip", "-o", "link")
		p.must([]string{"eth0"}, "lab", "exec", "stays", "a", "ip", "-o", "link")
		p.must([]string{"Node l1: ready"}, "lab", "exec", "stays", "l1", "tortie", "node", "status")
		p.must([]string{"a"}, "lab", "exec", "stays", "l1", "--", filepath.Join(bin, "tortie"), "get", "nodes", "-l", "rack=a", "-o", "name")
		p.must([]string{"a               .   ", "IPv6"}, "lab", "matrix", "stays")
		p.must([]string{"0 packets lost, 0 connects failed, 0 streams broken, 0 leaked"}, "lab", "traffic", "stays", "--from", "a", "--to", "b", "--for", "1s")
		p.refuses("leaked", "lab", "traffic", "stays", "--from", "a", "--to", "b", "--for", "1s", "--deny")
		p.must([]string{"0 packets lost, 0 connects failed, 0 streams broken, 0 leaked"}, "lab", "traffic", "stays", "--from", "a", "--to", "shy", "--for", "1s", "--deny")
		p.must(nil, "lab", "agent", "stays", "l2", "kill")
		p.must([]string{"not running"}, "lab", "status", "stays")
		p.must(nil, "lab", "agent", "stays", "l2", "start")
		p.refuses("the agent of l2 runs", "lab", "agent", "stays", "l2", "start")
		p.refuses("lab stays is up already", "lab", "up", file)
		p.refuses(`no node, router or workload "zz"`, "lab", "exec", "stays", "zz", "--", "true")
		p.refuses("lab other is not up", "lab", "matrix", "other")
		// A program of the user inside the lab does not keep it alive.
		sleeper := p.command("lab", "exec", "stays", "a", "--", "sleep", "60")
		if err := sleeper.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		p.must([]string{"lab stays is down"}, "lab", "down", "stays")
		_ = sleeper.Wait()
		p.must([]string{"lab stays is not up"}, "lab", "down", "stays")
		p.gone()
	})
}

// Two labs with the same subnets and node names do not disturb each other or the host.
func TestTwoLabs(t *testing.T) {
	p := newPlace(t, 0)
	before := p.host()
	var group sync.WaitGroup
	for _, name := range []string{"twin-1", "twin-2"} {
		file := p.write(name+".yaml", fmt.Sprintf(labText, name))
		group.Go(func() {
			if out, code := p.run("lab", "run", file); code != 0 || !strings.Contains(out, "19 expectations hold, 0 do not") {
				t.Errorf("%s: exit %d\n%s", name, code, out)
			}
		})
	}
	group.Wait()
	p.gone()
	if after := p.host(); after != before {
		t.Errorf("the host is another. Before:\n%s\nafter:\n%s", before, after)
	}
}

// Ctrl-C and SIGTERM at any moment leave nothing behind.
func TestInterrupt(t *testing.T) {
	moments := []time.Duration{20, 100, 250, 400, 600, 900, 2500}
	for name, user := range map[string]uint32{"root": 0, "nobody": nobody} {
		for _, verb := range []string{"run", "up"} {
			t.Run(name+"/"+verb, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t, user)
				file := p.write("lab.yaml", fmt.Sprintf(labText, "cut"))
				for i, after := range moments {
					sig := []os.Signal{syscall.SIGTERM, os.Interrupt}[i%2]
					cmd := p.command("lab", verb, file)
					var out bytes.Buffer
					cmd.Stdout, cmd.Stderr = &out, &out
					cmd.WaitDelay = 20 * time.Second
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
					time.Sleep(after * time.Millisecond)
					_ = cmd.Process.Signal(sig)
					err := cmd.Wait()
					if err == nil { // it was done before: a lab that is up is no leftover
						p.must(nil, "lab", "down", "cut")
					} else if got := out.String(); !strings.Contains(got, "interrupted") && !strings.Contains(err.Error(), "signal:") {
						t.Errorf("%v after %d ms: %v: %s", sig, after, err, got)
					}
					p.gone()
				}
			})
		}
	}
}

// What a SIGKILL leaves is named, and goes with down.
func TestLeftover(t *testing.T) {
	users(t, func(t *testing.T, p *place) {
		file := p.write("lab.yaml", fmt.Sprintf(labText, "half"))
		for _, after := range []time.Duration{100, 500, 2000} {
			cmd := p.command("lab", "run", file)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after * time.Millisecond)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			words := "lab half is not up" // killed before anything was made
			if _, err := os.Stat(filepath.Join(p.root, "half")); err == nil {
				p.refuses("tortie lab down half", "lab", "up", file)
				words = "lab half is down"
			}
			p.must([]string{words}, "lab", "down", "half")
			p.gone()
		}
	})
}

// A part that cannot start ends the attempt at once, with the last words of its log.
func TestCannotStart(t *testing.T) {
	p := newPlace(t, 0)
	file := p.write("lab.yaml", fmt.Sprintf(labText, "broken"))
	cmd := p.command("lab", "run", file)
	cmd.Env = append(cmd.Env, "IP=10.0.0.300/24")
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "agent-l1 has ended") || !strings.Contains(string(out), "10.0.0.300") {
		t.Errorf("%v\n%s", err, out)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %s to find out", took)
	}
	p.gone()
}

// Where the kernel refuses user namespaces, the error names the setting and says that root works.
func TestRefused(t *testing.T) {
	p := newPlace(t, nobody)
	file := p.write("lab.yaml", fmt.Sprintf(labText, "refused"))
	// In a user namespace of its own the limit can be set to what an administrator may have set, for it alone.
	script := `echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$0" "$@"`
	cmd := exec.Command("setpriv", "--reuid="+strconv.Itoa(nobody), "--regid="+strconv.Itoa(nobody), "--clear-groups",
		"unshare", "-Ur", "sh", "-c", script, filepath.Join(bin, "tortie"), "lab", "run", file)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "TORTIE_LAB_ROOT="+p.root)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "sysctl user.max_user_namespaces is 0; as root every lab works") {
		t.Errorf("%v\n%s", err, out)
	}
	p.gone()
}

// The demo, told to stop amid its traffic, leaves nothing behind.
func TestDemoStops(t *testing.T) {
	p := newPlace(t, nobody)
	cmd := p.command("lab", "demo")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reached := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "killed with -9 under standard traffic") {
			reached = true
			time.Sleep(1500 * time.Millisecond)
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	_ = cmd.Wait()
	if !reached || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("the traffic reached: %v; errors: %s", reached, stderr.String())
	}
	p.gone()
}
