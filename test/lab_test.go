package test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/lab"
)

// labWriter passes a lab's progress to the test's log.
type labWriter struct{ t *testing.T }

func (w labWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// startLab builds a lab of a file's text and takes it away when the test ends. When the test fails the ends of the logs
// are shown.
func startLab(t *testing.T, text string) *lab.Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	f, err := lab.ParseFile([]byte(text), t.Name(), ".")
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.NewWith(filepath.Join(bin, "tortie"), f, labWriter{t})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := l.Up(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.Logs(30))
		}
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func apply(t *testing.T, l *lab.Lab, docs string) {
	t.Helper()
	if out, err := l.Output(t.Context(), strings.NewReader(docs), "apply", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// eventually asks until a condition holds.
func eventually(t *testing.T, limit time.Duration, what string, ok func() error) {
	t.Helper()
	end := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// meshPools is what most labs here have: dual-stack pools, BGP mesh (the default).
const meshPools = `
  - |
    apiVersion: projectcalico.org/v3
    kind: IPPool
    metadata: {name: pods4}
    spec: {cidr: 10.98.0.0/16, ipipMode: Never, vxlanMode: Never}
    ---
    apiVersion: projectcalico.org/v3
    kind: IPPool
    metadata: {name: pods6}
    spec: {cidr: "fd00:10:98::/48", ipipMode: Never, vxlanMode: Never}
`
