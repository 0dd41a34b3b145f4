package gobgp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"

	"github.com/tortie-net/tortie/internal/bgp"
	"github.com/tortie-net/tortie/internal/intent"
)

const (
	inNamespace = "TORTIE_TEST_NETNS"   // set: this process has a network namespace of its own
	asSpeaker   = "TORTIE_TEST_SPEAKER" // set: this process is a speaker with this configuration
	port        = 1790
	as          = 64512
)

// far is the namespace of the routers that are not ours.
var far netns.NsHandle

// TestMain runs the tests in a new network namespace, and the speakers that are to be killed as processes of their own.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asSpeaker) != "":
		speak(os.Getenv(asSpeaker))
	case os.Getenv(inNamespace) == "":
		os.Exit(enter())
	}
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "network for the tests:", err)
		os.Exit(1)
	}
	// The server leaves the buffer of each session's outgoing messages behind.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/eapache/channels.(*InfiniteChannel).infiniteBuffer"))
}

// enter runs this program again in a new network namespace, as root or within a user namespace.
func enter() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			fmt.Fprintln(os.Stderr, "new network namespace:", err)
		}
		return 1
	}
	return 0
}

// build makes
//
//	here: near 192.0.2.1 to .3, 2001:db8::1 to ::3 ── far 192.0.2.9, 2001:db8::9
func build() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	if err != nil {
		return err
	}
	defer here.Close()
	if far, err = netns.New(); err != nil { // also enters it
		return err
	}
	if err := up("lo"); err != nil {
		return err
	}
	if err := netns.Set(here); err != nil {
		return err
	}
	if err := up("lo"); err != nil {
		return err
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near"}, PeerName: "far", PeerNamespace: netlink.NsFd(far)}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	if err := up("near", "192.0.2.1/24", "192.0.2.2/24", "192.0.2.3/24", "2001:db8::1/64", "2001:db8::2/64", "2001:db8::3/64"); err != nil {
		return err
	}
	if err := netns.Set(far); err != nil {
		return err
	}
	if err := up("far", "192.0.2.9/24", "2001:db8::9/64"); err != nil {
		return err
	}
	return netns.Set(here)
}

func up(name string, addrs ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, text := range addrs {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if strings.Contains(text, ":") {
			addr.Flags = syscall.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("%s: %s: %w", name, text, err)
		}
	}
	return netlink.LinkSetUp(link)
}

// inFar runs f in the other namespace; processes that it starts live there.
func inFar(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if err := netns.Set(far); err != nil {
		t.Fatal(err)
	}
	f()
	if err := netns.Set(here); err != nil {
		t.Fatal(err)
	}
}

func v4(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }

func v6(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i)) }

// configure is node i, that peers in both families with others; 9 is in the far namespace, on the usual port.
func configure(i int, others ...int) bgp.Config {
	c := bgp.Config{BGP: intent.BGP{ID: fmt.Sprint("n", i), Enabled: true, AS: as, RouterID: v4(i), ListenPort: port,
		BindNodeIP: true, IPv4: v4(i), IPv6: v6(i)}, Secrets: map[string]string{}}
	for _, o := range others {
		for _, addr := range []netip.Addr{v4(o), v6(o)} {
			p := intent.Peering{Name: "Mesh_" + strings.NewReplacer(".", "_", ":", "_").Replace(addr.String()),
				Address: addr, Port: port, AS: as, Restart: 20 * time.Second}
			// As in a mesh: the side whose peer's address is greater as text only answers (spec/store-layout.md §4.4).
			p.Passive = o != 9 && o > i
			if o == 9 {
				p.Port = 0
			}
			c.Peerings = append(c.Peerings, p)
		}
	}
	return c
}

// process is a speaker in a process of its own, which announces prefixes.
type process struct {
	Config   bgp.Config
	Prefixes []string
}

func speak(text string) {
	var p process
	err := json.Unmarshal([]byte(text), &p)
	s := New(nil)
	if err == nil {
		var adverts []bgp.Advert
		for _, prefix := range p.Prefixes {
			adverts = append(adverts, bgp.Advert{Prefix: netip.MustParsePrefix(prefix), LocalPref: 2147482623})
		}
		err = s.Advertise(s.ctx, adverts)
	}
	if err == nil {
		err = s.Set(s.ctx, p.Config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range s.Routes() {
	}
}

func start(t *testing.T, p process) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asSpeaker+"="+string(text))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	return cmd
}

func kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
