package ipam_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/store/etcd"
	"github.com/tortie-net/tortie/internal/store/etcd/embedded"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

func onEtcd(t testing.TB) *watched {
	dir := t.TempDir()
	endpoint := "unix://" + filepath.Join(dir, "s")
	server, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, "data"), Listen: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	s, err := etcd.Open(etcd.Config{Endpoints: []string{endpoint}}, storetest.Codec{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &watched{Store: s}
}

// TestOnEtcd: the conditions that the allocator writes mean the same to a real etcd.
func TestOnEtcd(t *testing.T) {
	s := onEtcd(t)
	in := inputs(pool("four", "10.65.0.0/29", 31), pool("six", "fd65::/48", 122))
	a, b := node(s, "n1", in), node(s, "n2", in)
	var used [][]string
	for i, n := range []*ipam.Allocator{a, b, b, a, b, b, b, a} {
		addrs := assign(t, n, both(fmt.Sprint("h", i)))
		used = append(used, []string{addrs[0].String(), addrs[1].String()})
	}
	refused(t, a, v4("more"), ipam.ErrNoAddress, "full")
	for i := range used {
		release(t, []*ipam.Allocator{a, b}[i%2], fmt.Sprint("h", i))
	}
	fits(t, s, in, nil)
	if _, err := a.GC(soon(t), never); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkAssign prints pairs of Assign and Release per second, the 99th percentile of Assign, and transactions per
// pair, on an etcd that does not wait for the disk. 60 addresses are in use meanwhile.
func BenchmarkAssign(b *testing.B) {
	for _, workers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("parallel=%d", workers), func(b *testing.B) {
			s := onEtcd(b)
			in := inputs(pool("four", "10.65.0.0/16", 26))
			a := node(s, "n1", in)
			for i := range 60 {
				assign(b, a, v4(fmt.Sprint("standing", i)))
			}
			s.txns.Store(0)
			var next atomic.Int64
			took := make([]time.Duration, b.N)
			var wg sync.WaitGroup
			var assigning atomic.Int64
			b.ResetTimer()
			for range workers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
						handle := fmt.Sprint("k8s-pod-network.", i)
						start := time.Now()
						assign(b, a, v4(handle))
						took[i] = time.Since(start)
						assigning.Add(int64(took[i]))
						release(b, a, handle)
					}
				}()
			}
			wg.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(s.txns.Load())/float64(b.N), "txn/pair")
		})
	}
}
