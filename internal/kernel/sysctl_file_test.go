package kernel

import (
	"maps"
	"testing"
)

// TestSysctlReaderFollowsInterfaces: what is kept open of an interface must not outlive it, nor hide a new one of the
// same name.
func TestSysctlReaderFollowsInterfaces(t *testing.T) {
	ns, err := NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	h, err := Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	const setting, general = "net/ipv4/conf/pair0/proxy_arp", "net/ipv4/ip_forward"
	do := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	r := h.Sysctls().Reader()
	t.Cleanup(r.Close)
	expect := func(when string, want map[string]string) {
		t.Helper()
		got := map[string]string{}
		r.Each([]string{setting, general, "net/no/such"}, func(path string, value []byte) { got[path] = string(value) })
		if !maps.Equal(got, want) {
			t.Errorf("%s: read %v, want %v", when, got, want)
		}
	}
	do(h.Sysctls().Write(general, "0"))
	expect("before the interface", map[string]string{general: "0"})
	for _, room := range []int{mostKept, 1} {
		r.room = room
		do(h.AddVeth(Veth{Name: "pair0", PeerName: "pair1"}), h.Sysctls().Write(setting, "1"), h.Sysctls().Write(general, "1"))
		expect("with the interface", map[string]string{setting: "1", general: "1"})
		do(h.DeleteLink("pair0"), h.AddVeth(Veth{Name: "pair0", PeerName: "pair1"}))
		expect("with another interface of the name", map[string]string{setting: "0", general: "1"})
		do(h.DeleteLink("pair0"))
		expect("after the interface", map[string]string{general: "1"})
	}
}
