package gobgp

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// bird is a BIRD 2 router in the far namespace that peers with node 1 in both families.
type bird struct {
	t      *testing.T
	socket string
	conf   string
}

const birdConf = `
router id 192.0.2.9;
protocol device {}
protocol static static4 { ipv4; route 10.9.0.0/24 blackhole; }
protocol static static6 { ipv6; route 2001:db8:9::/64 blackhole; }
template bgp node {
	graceful restart on;
	connect delay time 1; connect retry time 2; error wait time 1, 2;
	multihop;
	%s
}
protocol bgp near4 from node {
	local 192.0.2.9 as 64512; neighbor 192.0.2.1 port 1790 as 64512;
	ipv4 { import all; export where source = RTS_STATIC; next hop self; };
}
protocol bgp near6 from node {
	local 2001:db8::9 as 64512; neighbor 2001:db8::1 port 1790 as 64512;
	ipv6 { import all; export where source = RTS_STATIC; next hop self; };
}
`

// startBird fails where BIRD is missing: what it shows cannot be shown otherwise.
func startBird(t *testing.T, options string) *bird {
	t.Helper()
	program, err := exec.LookPath("bird")
	if err != nil {
		program = "/usr/sbin/bird"
	}
	dir := t.TempDir()
	b := &bird{t: t, socket: filepath.Join(dir, "ctl"), conf: filepath.Join(dir, "conf")}
	b.write(options)
	cmd := exec.Command(program, "-f", "-c", b.conf, "-s", b.socket)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	inFar(t, func() { err = cmd.Start() })
	if err != nil {
		t.Fatalf("BIRD 2 (Debian package bird2) is needed: %v", err)
	}
	t.Cleanup(func() { kill(cmd) })
	eventually(t, func() string {
		if _, err := os.Stat(b.socket); err != nil {
			return err.Error()
		}
		return ""
	})
	return b
}

func (b *bird) write(options string) {
	b.t.Helper()
	if err := os.WriteFile(b.conf, fmt.Appendf(nil, birdConf, options), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// ask sends a command to BIRD.
func (b *bird) ask(command string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	program, err := exec.LookPath("birdc")
	if err != nil {
		program = "/usr/sbin/birdc"
	}
	out, err := exec.CommandContext(ctx, program, "-s", b.socket, command).CombinedOutput()
	if err != nil {
		b.t.Fatalf("birdc %s: %v\n%s", command, err, out)
	}
	return string(out)
}

// learned lists "prefix next hop localpref" of what BIRD has from node 1.
func (b *bird) learned() []string {
	var routes []string
	for _, protocol := range []string{"near4", "near6"} {
		var prefix, hop string
		for line := range strings.Lines(b.ask("show route all protocol " + protocol)) {
			words := strings.Fields(line)
			switch {
			case len(words) > 1 && strings.Contains(words[0], "/"):
				prefix = words[0]
			case strings.Contains(line, "BGP.next_hop:"):
				hop = words[1]
			case strings.Contains(line, "BGP.local_pref:"):
				routes = append(routes, prefix+" "+hop+" "+words[1])
			}
		}
	}
	slices.Sort(routes)
	return routes
}

func (b *bird) learns(want ...string) {
	b.t.Helper()
	eventually(b.t, func() string {
		if got := b.learned(); !slices.Equal(got, want) {
			return fmt.Sprintf("BIRD learned %q, want %q\n%s", got, want, b.ask("show protocols all"))
		}
		return ""
	})
}

// TestBird: with BIRD 2, as a node of a cluster in transition runs it, prefixes go both ways, changes too.
func TestBird(t *testing.T) {
	b := startBird(t, "")
	a := run(t, configure(1, 9), "10.1.0.0/26", "fd00:1::/122")
	b.learns("10.1.0.0/26 192.0.2.1 2147482623", "fd00:1::/122 2001:db8::1 2147482623")
	a.learns("10.9.0.0/24 192.0.2.9 100", "2001:db8:9::/64 2001:db8::9 100")
	select {
	case <-a.Settled():
	case <-time.After(patience):
		t.Errorf("not settled: %+v", a.Peers())
	}
	a.advertise("10.1.0.64/26", "fd00:1::/122")
	b.learns("10.1.0.64/26 192.0.2.1 2147482623", "fd00:1::/122 2001:db8::1 2147482623")
	b.ask("disable static4")
	a.learns("2001:db8:9::/64 2001:db8::9 100")
	// Leaving for good, BIRD forgets us at once.
	off := configure(1)
	off.Enabled = false
	a.set(off)
	b.learns()
	a.learns()
}

func TestBirdPassword(t *testing.T) {
	b := startBird(t, `password "hunter2";`)
	c := configure(1, 9)
	ref := model.SecretRef{Name: "bgp", Key: "p"}
	for i := range c.Peerings {
		c.Peerings[i].Password = ref
	}
	wrong := c
	wrong.Secrets = map[string]string{"bgp/p": "wrong"}
	a := run(t, wrong, "10.1.0.0/26")
	time.Sleep(4 * time.Second) // two attempts from either side
	for _, p := range a.Peers() {
		if p.State == "Established" {
			t.Errorf("%s: established with a wrong password", p.Name)
		}
	}
	c.Secrets["bgp/p"] = "hunter2"
	a.set(c)
	a.established("Mesh_192_0_2_9", "Mesh_2001_db8__9")
	b.learns("10.1.0.0/26 192.0.2.1 2147482623")
}

// TestBirdKeepsRoutesOfAKilledSpeaker: and also of one that closes.
func TestBirdKeepsRoutesOfAKilledSpeaker(t *testing.T) {
	b := startBird(t, "")
	p := process{Config: configure(1, 9), Prefixes: []string{"10.1.0.0/26", "fd00:1::/122"}}
	want := []string{"10.1.0.0/26 192.0.2.1 2147482623", "fd00:1::/122 2001:db8::1 2147482623"}
	first := start(t, p)
	b.learns(want...)
	kill(first)
	// From here on BIRD has the routes whenever it is asked, until well after the second life has said all again.
	steady := func(until func() bool) {
		for end := time.Now().Add(patience); !until(); time.Sleep(30 * time.Millisecond) {
			if got := b.learned(); !slices.Equal(got, want) {
				t.Fatalf("BIRD lost routes: %q", got)
			}
			if time.Now().After(end) {
				t.Fatalf("the session does not come back\n%s", b.ask("show protocols all"))
			}
		}
	}
	restarting := func() bool { return strings.Contains(b.ask("show protocols near4"), "Established") }
	steady(func() bool { return !restarting() })
	a := run(t, p.Config, p.Prefixes...)
	steady(restarting)
	// The second life told BIRD that the kernel forwarded all the while: without that, RFC 4724 §4.2 has it drop the routes
	// as soon as the session is back.
	if got := b.ask("show protocols all near4"); strings.Count(got, "AF preserved: ipv4") != 1 || !strings.Contains(got, "Restart recovery") {
		t.Errorf("the restart is not announced:\n%s", got)
	}
	pause := time.Now().Add(2 * time.Second)
	steady(func() bool { return time.Now().After(pause) })
	select {
	case <-a.Settled():
	default:
		t.Errorf("not settled: %+v", a.Peers())
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	steady(func() bool { return !restarting() })
	// Another life that announces less: what it does not announce goes when it has said all.
	c := run(t, p.Config, "10.1.0.0/26")
	b.learns(want[0])
	if _, ok := c.table[netip.MustParsePrefix("10.9.0.0/24")]; !ok {
		c.learns("10.9.0.0/24 192.0.2.9 100", "2001:db8:9::/64 2001:db8::9 100")
	}
}
