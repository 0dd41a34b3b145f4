package sysctl

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func set(path, value string, optional bool) intent.KernelChange {
	s := &intent.Sysctl{Path: path, Value: value, Optional: optional}
	return intent.KernelChange{Ref: s.Ref(), Object: s}
}

func apply(t *testing.T, p *Plane, changes ...intent.KernelChange) {
	t.Helper()
	must(t, p.Apply(context.Background(), changes, true))
}

func start(t *testing.T, o Options) *Plane {
	t.Helper()
	p := New(o)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func TestSettingsOfARealNamespace(t *testing.T) {
	ns, err := kernel.NewNamespace()
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	files := kernel.Sysctls{Namespace: ns}
	read := func(path string) string {
		v, err := files.Read(path)
		must(t, err)
		return v
	}
	must(t, files.Write("net/ipv4/ip_forward", "0"))
	p := start(t, Options{Namespace: ns})
	apply(t, p, set("net/ipv4/ip_forward", "1", false), set("net/ipv6/conf/all/forwarding", "1", true),
		set("net/ipv4/ping_group_range", "100 200", false), set("net/ipv6/no/such", "1", true), set("net/ipv4/no_such", "1", false))
	if read("net/ipv4/ip_forward") != "1" || read("net/ipv6/conf/all/forwarding") != "1" || read("net/ipv4/ping_group_range") != "100\t200" {
		t.Error("settings are not as wanted")
	}
	s := p.Status()
	if s.Objects != 5 || s.Pending != 1 || len(s.Failures) != 1 || !strings.Contains(s.Failures["net/ipv4/no_such"], "no such file") {
		t.Errorf("status %+v", s)
	}
	gone := set("net/ipv4/no_such", "", false)
	gone.Object = nil
	apply(t, p, gone)
	writes := p.Status().Writes
	must(t, p.Sync(context.Background()))
	apply(t, p)
	if got := p.Status().Writes; got != writes {
		t.Errorf("%d writes where nothing differed", got-writes)
	}
	must(t, files.Write("net/ipv4/ip_forward", "0"))
	deadline := time.After(2 * time.Second)
	select {
	case word := <-p.Damage():
		if !strings.Contains(word, "net/ipv4/ip_forward") {
			t.Errorf("damage %q", word)
		}
	case <-deadline:
		t.Fatal("the damage was not noticed within 2 s")
	}
	must(t, p.Sync(context.Background()))
	apply(t, p)
	if read("net/ipv4/ip_forward") != "1" || p.Status().Repairs != 1 {
		t.Errorf("not repaired: %+v", p.Status())
	}
}

func TestRestartWritesNothing(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "net", "ipv4", "ip_forward")
	must(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("1\n"), 0o444))
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(path, old, old))
	p := start(t, Options{Root: root})
	apply(t, p, set("net/ipv4/ip_forward", "1", false))
	if s := p.Status(); s.Writes != 0 || s.Pending != 0 {
		t.Errorf("status %+v", s)
	}
	if info, err := os.Stat(path); err != nil || info.ModTime().After(old.Add(time.Minute)) {
		t.Errorf("the file was written: %v", err)
	}
}

func TestSomebodyWhoNeverStops(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a")
	must(t, os.WriteFile(path, []byte("0"), 0o644))
	p := start(t, Options{Root: root, Poll: time.Hour})
	apply(t, p, set("a", "1", false))
	for range 10 {
		must(t, os.WriteFile(path, []byte("0"), 0o644), p.Sync(context.Background()))
		apply(t, p)
		if len(p.Status().Failures) > 0 {
			break
		}
	}
	if f := p.Status().Failures["a"]; !strings.Contains(f, "changed it 3 times") {
		t.Errorf("status after constant damage: %+v", p.Status())
	}
}

func TestPathsStayBelowTheRoot(t *testing.T) {
	root := t.TempDir()
	outside := filepath.Join(root, "outside")
	must(t, os.WriteFile(outside, []byte("0"), 0o644), os.Mkdir(filepath.Join(root, "sys"), 0o755))
	p := start(t, Options{Root: filepath.Join(root, "sys")})
	apply(t, p, set("../outside", "1", false))
	if raw, err := os.ReadFile(outside); err != nil || string(raw) != "0" {
		t.Errorf("a file outside was written: %q, %v", raw, err)
	}
	if len(p.Status().Failures) != 1 {
		t.Errorf("status %+v", p.Status())
	}
}
