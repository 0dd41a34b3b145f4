package query

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// node is a Source with one of everything.
type node struct{}

func (node) Status() Status        { return Status{Node: "n1", Ready: true, BGP: &BGPStatus{AS: 64512}} }
func (node) Endpoints() []Endpoint { return []Endpoint{{ID: "k8s/a/b/eth0", Bound: true}} }
func (node) Routes() []Route       { return []Route{{Prefix: "10.0.0.0/26", Owner: "bgp"}} }
func (node) Counters() []Counter   { return []Counter{{Rule: "00", Packets: 7}} }

func serve(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "query.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, node{}, http.NotFoundHandler()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestClientReadsWhatTheAgentServes(t *testing.T) {
	c := NewClient(serve(t))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s, err := c.Status(ctx)
	if err != nil || s.Node != "n1" || s.BGP.AS != 64512 {
		t.Fatal(s, err)
	}
	e, err := c.Endpoints(ctx)
	if err != nil || len(e) != 1 || !e[0].Bound {
		t.Fatal(e, err)
	}
	r, err := c.Routes(ctx)
	if err != nil || len(r) != 1 || r[0].Owner != "bgp" {
		t.Fatal(r, err)
	}
	n, err := c.Counters(ctx)
	if err != nil || len(n) != 1 || n[0].Packets != 7 {
		t.Fatal(n, err)
	}
}

func TestSocketIsClosedToOthers(t *testing.T) {
	path := serve(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		t.Errorf("mode %v: others may not even connect", mode)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another agent serves it") {
		t.Errorf("a second agent took the socket: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "query.sock")
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := first.(interface{ SetUnlinkOnClose(bool) }); ok {
		u.SetUnlinkOnClose(false) // as after a kill
	}
	first.Close()
	second, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

// Only reading is served, and nothing else exists.
func TestOnlyReading(t *testing.T) {
	c := NewClient(serve(t))
	defer c.Close()
	for _, r := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/v1/status", 405}, {"DELETE", "/v1/routes", 405}, {"GET", "/v1/secrets", 404}, {"GET", "/", 404},
	} {
		req, err := http.NewRequest(r.method, "http://agent"+r.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != r.want {
			t.Errorf("%s %s: %d, want %d", r.method, r.path, resp.StatusCode, r.want)
		}
	}
}
