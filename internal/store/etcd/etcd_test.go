package etcd_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
	"github.com/tortie-net/tortie/internal/store/etcd/embedded"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a real etcd that a test can stop and start again.
type server struct {
	t        *testing.T
	config   embedded.Config
	endpoint string
	running  *embedded.Server
}

func newServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	endpoint := "unix://" + filepath.Join(dir, "s")
	s := &server{t: t, endpoint: endpoint, config: embedded.Config{Dir: filepath.Join(dir, "data"), Listen: []string{endpoint}}}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) start() {
	s.t.Helper()
	running, err := embedded.Start(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.running = running
}

func (s *server) stop() {
	if s.running != nil {
		_ = s.running.Stop()
		s.running = nil
	}
}

func (s *server) open() *etcd.Store {
	s.t.Helper()
	st, err := etcd.Open(etcd.Config{Endpoints: []string{s.endpoint}}, storetest.Codec{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = st.Close() })
	return st
}

// raw is a client of the server that knows nothing of forms.
func (s *server) raw() *clientv3.Client {
	s.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.endpoint}, Logger: zap.NewNop()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// withHooks adds what the contract needs of the world around a store.
type withHooks struct {
	*etcd.Store
	t   *testing.T
	raw *clientv3.Client
}

func (s withHooks) Compact() {
	got, err := s.raw.Get(soon(s.t), "/none")
	if err == nil {
		_, err = s.raw.Compact(soon(s.t), got.Header.Revision)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s withHooks) PutRaw(key model.Key, value []byte) {
	name, err := etcd.EncodeKey(key)
	if err == nil {
		_, err = s.raw.Put(soon(s.t), name, string(value))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Conformance(t, func(t *testing.T) store.Store {
		s := newServer(t)
		return withHooks{s.open(), t, s.raw()}
	})
}
