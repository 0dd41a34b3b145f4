package etcd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

var pools = store.Query{Kinds: []model.Kind{model.KindIPPool}}

func pool(name string) model.Key { return model.Key{Kind: model.KindIPPool, Name: name} }

// ends waits for a watch to end.
func ends(t *testing.T, w store.Watch, within time.Duration) error {
	t.Helper()
	deadline := time.After(within)
	for {
		select {
		case _, open := <-w.Batches():
			if !open {
				return w.Err()
			}
		case <-deadline:
			t.Fatalf("the watch did not end within %v", within)
		}
	}
}

func TestServerGoesAwayAndReturns(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := server.open()
	made, err := s.Create(soon(t), pool("a"), &storetest.Thing{Text: "1"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(soon(t), pools, made.Revision)
	if err != nil {
		t.Fatal(err)
	}
	server.stop()
	if err := ends(t, w, 3*time.Second); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("watch of a server that stopped: %v", err)
	}
	calls := map[string]func() error{
		"get IPPool/a": func() error { _, err := s.Get(context.Background(), pool("a")); return err },
		"list IPPool":  func() error { _, _, err := s.List(context.Background(), pools); return err },
		"watch":        func() error { _, err := s.Watch(context.Background(), pools, made.Revision); return err },
		"create IPPool/b": func() error {
			_, err := s.Create(context.Background(), pool("b"), &storetest.Thing{})
			return err
		},
		"delete IPPool/a": func() error { return s.Delete(context.Background(), pool("a"), 0) },
	}
	var wg sync.WaitGroup
	for what, call := range calls {
		wg.Go(func() {
			began := time.Now()
			err := call()
			if took := time.Since(began); !errors.Is(err, store.ErrUnavailable) || took > 6*time.Second {
				t.Errorf("%s while away: %v after %v; want ErrUnavailable within 5 s", what, err, took)
				return
			}
			t.Log(err)
			for _, part := range []string{"store operation " + what, "timed out after 5s", "connect: "} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s while away: %q does not say %q", what, err, part)
				}
			}
		})
	}
	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Get(short, pool("a")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("get with less time than it needs: %v", err)
	}
	wg.Wait()

	server.start()
	began := time.Now()
	back, err := s.Get(soon(t), pool("a"))
	if err != nil || back.Revision != made.Revision {
		t.Fatalf("after the return: %+v, %v", back, err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("found again after %v; want within 4 s", took)
	}
}

// proxy passes a connection on to a server until it swallows everything, without closing anything.
type proxy struct {
	listener net.Listener
	swallow  chan struct{}
	wg       sync.WaitGroup
}

func newProxy(t *testing.T, socket string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, swallow: make(chan struct{})}
	pass := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				_ = to.Close()
				return
			}
			select {
			case <-p.swallow:
				continue
			default:
			}
			if _, err := to.Write(buf[:n]); err != nil {
				_, _ = io.Copy(io.Discard, from)
				return
			}
		}
	}
	p.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.wg.Go(func() { pass(server, client) })
			p.wg.Go(func() { pass(client, server) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); p.wg.Wait() })
	return p
}

func TestDeadConnectionIsNoticedWithin15Seconds(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	p := newProxy(t, strings.TrimPrefix(server.endpoint, "unix://"))
	s, err := etcd.Open(etcd.Config{Endpoints: []string{"http://" + p.listener.Addr().String()}}, storetest.Codec{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, at, err := s.List(soon(t), pools)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(soon(t), pools, at)
	if err != nil {
		t.Fatal(err)
	}
	close(p.swallow)
	began := time.Now()
	if err := ends(t, w, 16*time.Second); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a watch whose packets vanish: %v", err)
	}
	t.Logf("noticed after %v", time.Since(began))
}

func TestBootstrapMakesWhatIsAbsent(t *testing.T) {
	s := newServer(t).open()
	kept, err := s.Create(soon(t), model.Key{Kind: model.KindTier, Name: "default"}, &storetest.Thing{Text: "the user's own"})
	if err != nil {
		t.Fatal(err)
	}
	objects := []store.Object{
		{Key: model.Key{Kind: model.KindClusterInformation, Name: "default"}, Value: &storetest.Thing{Text: "info"}},
		{Key: kept.Key, Value: &storetest.Thing{Text: "default"}},
		{Key: model.Key{Kind: model.KindTier, Name: "kube-admin"}, Value: &storetest.Thing{Text: "admin"}},
	}
	var wg sync.WaitGroup
	for range 4 { // as many agents start at once
		wg.Go(func() {
			if err := etcd.Bootstrap(soon(t), s, objects...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	listed, _, err := s.List(soon(t), store.Query{Kinds: []model.Kind{model.KindClusterInformation, model.KindTier}})
	if err != nil || len(listed) != 3 {
		t.Fatalf("%v, %v", listed, err)
	}
	if listed[1].Revision != kept.Revision || listed[1].Value.(*storetest.Thing).Text != "the user's own" {
		t.Errorf("what existed was written again: %+v", listed[1])
	}
}
