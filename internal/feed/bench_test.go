package feed

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
	"github.com/tortie-net/tortie/internal/store/etcd/embedded"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

// BenchmarkWriteToReader is the way of one change: a write to a real etcd on the same machine (answered included), its
// watch, the feed, the reader.
func BenchmarkWriteToReader(b *testing.B) {
	s := benchStore(b)
	out := start(b, s)
	<-out
	key := pool("a")
	for i := range b.N {
		revision, err := s.Txn(context.Background(), store.Op{Kind: store.OpPut, Key: key, Value: thing(i)})
		if err != nil {
			b.Fatal(err)
		}
		for batch := range out {
			if batch.Revision >= revision || len(batch.Updates) > 0 {
				break
			}
		}
	}
}

// BenchmarkFirstList is how long a feed needs for 20,000 objects.
func BenchmarkFirstList(b *testing.B) {
	const objects = 20000
	s := benchStore(b)
	for i := 0; i < objects; i += 100 {
		var ops []store.Op
		for j := range 100 {
			ops = append(ops, store.Op{Kind: store.OpPut, Key: pool(fmt.Sprint(i + j)), Value: thing(i)})
		}
		if _, err := s.Txn(context.Background(), ops...); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		f := New(s, query, decode, nil)
		ctx, cancel := context.WithCancel(context.Background())
		out, done := make(chan Batch), make(chan error)
		go func() { done <- f.Run(ctx, out) }()
		updates := 0
		for batch := range out {
			if updates += len(batch.Updates); batch.InSync {
				break
			}
		}
		if updates != objects {
			b.Errorf("%d updates", updates)
		}
		cancel()
		<-done
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/objects, "µs/object")
}

func benchStore(b *testing.B) store.Store {
	dir := b.TempDir()
	server, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, "data"), Listen: []string{"unix://" + filepath.Join(dir, "s")}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Stop() })
	s, err := etcd.Open(etcd.Config{Endpoints: server.Endpoints()}, storetest.Codec{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func start(b *testing.B, s store.Store) <-chan Batch {
	f := New(s, query, decode, nil)
	ctx, cancel := context.WithCancel(context.Background())
	out, done := make(chan Batch, 16), make(chan error)
	go func() { done <- f.Run(ctx, out) }()
	b.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			b.Error("the feed did not end")
		}
	})
	return out
}
