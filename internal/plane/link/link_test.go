package link

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T) (*kernel.Handle, *Plane) {
	t.Helper()
	ns, err := kernel.NewNamespace()
	must(t, err)
	h, err := kernel.Open(ns)
	must(t, err)
	p, err := New(Options{Namespace: ns})
	must(t, err)
	t.Cleanup(func() {
		must(t, p.Close())
		h.Close()
		_ = ns.Close()
	})
	return h, p
}

func endpoint(name string) intent.KernelChange {
	e := &intent.LocalEndpoint{ID: "k8s/ns/" + name + "/eth0", Workload: model.WorkloadID{Workload: name}, Interface: "cali" + name}
	return intent.KernelChange{Ref: e.Ref(), Object: e}
}

func apply(t *testing.T, p *Plane, changes ...intent.KernelChange) {
	t.Helper()
	must(t, p.Apply(context.Background(), changes, true))
}

// repair plays the agent until ok.
func repair(t *testing.T, what string, p *Plane, ok func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Second)
	for !ok() {
		select {
		case <-p.Damage():
			must(t, p.Sync(context.Background()))
			apply(t, p)
		case <-deadline:
			t.Fatalf("%s: not repaired within 2 s: %+v", what, p.Status())
		}
	}
}

func good(t *testing.T, h *kernel.Handle, name string) func() bool {
	return func() bool {
		l, err := h.Link(name)
		if err != nil && !errors.Is(err, kernel.ErrNoLink) {
			t.Fatal(err)
		}
		return err == nil && l.Up && l.MAC == HostMAC
	}
}

func veth(t *testing.T, h *kernel.Handle, name string) {
	t.Helper()
	must(t, h.AddVeth(kernel.Veth{Name: name, PeerName: "p" + name}))
}

func TestInterfacesAreMadeRightAndStayRight(t *testing.T) {
	h, p := start(t)
	veth(t, h, "calia")
	veth(t, h, "calib")
	apply(t, p, endpoint("a"), endpoint("b"))
	if !good(t, h, "calia")() || !good(t, h, "calib")() {
		t.Fatal("interfaces are not up with the host's MAC")
	}
	writes := p.Status().Writes
	must(t, p.Sync(context.Background()))
	apply(t, p)
	if p.Status().Writes != writes {
		t.Error("an unchanged interface was written")
	}
	must(t, h.SetLinkDown("calia"))
	repair(t, "set down", p, good(t, h, "calia"))
	must(t, h.SetMAC("calib", "02:00:00:00:00:07"))
	repair(t, "another MAC", p, good(t, h, "calib"))
	if p.Status().Repairs != 2 {
		t.Errorf("%d repairs counted, 2 made", p.Status().Repairs)
	}
}

func TestMissingInterface(t *testing.T) {
	h, p := start(t)
	veth(t, h, "calib")
	apply(t, p, endpoint("a"), endpoint("b"))
	s := p.Status()
	if s.Pending != 1 || s.Objects != 2 || !strings.Contains(s.Failures["k8s/ns/a/eth0"], "calia: no such interface") {
		t.Errorf("status %+v", s)
	}
	veth(t, h, "calia")
	repair(t, "it appears", p, good(t, h, "calia"))
	must(t, h.DeleteLink("calia"))
	repair(t, "it goes", p, func() bool { return len(p.Status().Failures) == 1 })
	gone := endpoint("a")
	gone.Object = nil
	apply(t, p, gone)
	if s := p.Status(); s.Pending != 0 || len(s.Failures) != 0 || s.Objects != 1 {
		t.Errorf("after the endpoint went: %+v", s)
	}
}

func TestForeignInterfacesAreLeftAlone(t *testing.T) {
	h, p := start(t)
	veth(t, h, "docker0")
	before, err := h.Link("docker0")
	must(t, err)
	veth(t, h, "calia")
	apply(t, p, endpoint("a"))
	must(t, p.Sync(context.Background()))
	apply(t, p)
	if after, err := h.Link("docker0"); err != nil || after != before {
		t.Errorf("was %+v, is %+v, %v", before, after, err)
	}
}
