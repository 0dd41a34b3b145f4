package embedded

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lockedBuffer collects a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func dial(t *testing.T, s *Server) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: s.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestDataOutlivesTheServer(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "etcd.sock")
	var log lockedBuffer
	config := Config{Dir: filepath.Join(dir, "data"), Listen: []string{"unix://" + socket}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	for round := range 3 {
		began := time.Now()
		s, err := Start(config)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		t.Logf("start %v", time.Since(began))
		c := dial(t, s)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		got, err := c.Get(ctx, "/k")
		if err != nil || len(got.Kvs) != min(round, 1) {
			t.Fatalf("round %d: %v, %v", round, got, err)
		}
		if _, err := c.Put(ctx, "/k", "v"); err != nil {
			t.Fatal(err)
		}
		watch := c.Watch(ctx, "/k") // an open watch must not hold the end up
		for path, want := range map[string]os.FileMode{config.Dir: 0o700, socket: 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
			}
		}
		began = time.Now()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("stop took %v with an open watch", took)
		}
		cancel()
		for range watch {
		}
		_ = c.Close()
	}
	if log.String() != "" {
		t.Errorf("an orderly life must log nothing:\n%s", log.String())
	}
}

func TestWrongAddressesAreNamed(t *testing.T) {
	for address, want := range map[string]string{
		"":                                    "scheme",
		"tcp://127.0.0.1:1":                   "scheme",
		"http://127.0.0.1":                    "host and port",
		"http://127.0.0.1:1/path":             "host and port",
		"unix://relative/path":                "absolute",
		"unix:///" + strings.Repeat("x", 108): "at most 107",
	} {
		_, err := Start(Config{Dir: t.TempDir(), Listen: []string{address}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want an error with %q", address, err, want)
		}
	}
	if _, err := Start(Config{Dir: t.TempDir()}); err == nil {
		t.Error("a server that listens nowhere must be refused")
	}
	if _, err := Start(Config{Listen: []string{"unix:///x"}}); err == nil {
		t.Error("a server without a folder must be refused")
	}
}
