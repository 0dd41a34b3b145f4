package route

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/intent"
)

// many is that many cluster routes, of blocks of other nodes.
func many(count int) []intent.KernelChange {
	var routes []*intent.Route
	for i := range count {
		routes = append(routes, via(fmt.Sprintf("10.%d.%d.%d/32", 128+i>>16, i>>8&255, i&255), intent.RouteCluster, fmt.Sprintf("10.0.0.%d", 2+i%100)))
	}
	return set(routes...)
}

// TestOneChangeCostsTheSame: messages and bytes of a single change do not grow with the routes that it does not
// concern.
func TestOneChangeCostsTheSame(t *testing.T) {
	type cost struct{ writes, bytes uint64 }
	var first cost
	for _, count := range []int{10, 1000, 10000} {
		n := newNode(t)
		n.apply(many(count))
		before := n.p.Status()
		n.apply(set(via("10.66.1.0/26", intent.RouteCluster, "10.0.0.2")))
		after := n.p.Status()
		got := cost{after.Writes - before.Writes, after.Bytes - before.Bytes}
		if first == (cost{}) {
			first = got
		}
		if got != first || got.writes != 1 {
			t.Errorf("with %d routes one more took %+v, with 10 %+v", count, got, first)
		}
		// Own writes are no damage, whatever their number.
		select {
		case word := <-n.p.Damage():
			t.Errorf("with %d routes the plane took its own writes for damage: %s", count, word)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// BenchmarkRoutes prints what 100,000 routes cost: the first Apply, a restart that compares, and one change.
func BenchmarkRoutes(b *testing.B) {
	const count = 100_000
	for b.Loop() {
		n := newNode(b)
		changes := many(count)
		step := func(name string, fn func() error) {
			start := time.Now()
			must(b, fn())
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000, name+"-ms")
		}
		step("write", func() error { return n.p.Apply(context.Background(), changes, true) })
		n.restart()
		step("compare", func() error { return n.p.Apply(context.Background(), changes, true) })
		if w := n.p.Status().Writes; w != 0 {
			b.Errorf("the restart wrote %d messages", w)
		}
		one := set(&intent.Route{Prefix: netip.MustParsePrefix("10.66.1.0/26"), Type: intent.RouteBlackhole, Owner: intent.RouteBlock})
		step("change", func() error { return n.p.Apply(context.Background(), one, true) })
	}
}
