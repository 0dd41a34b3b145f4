package ipam_test

import (
	"fmt"
	"testing"

	"github.com/tortie-net/tortie/internal/ipam"
)

// TestHandleOfTwoHosts: a handle that another host has already is added to, whether this host knows of it or not.
func TestHandleOfTwoHosts(t *testing.T) {
	for name, fresh := range map[string]func(*testing.T) *watched{
		"memory": func(*testing.T) *watched { return newStore() },
		"steps":  func(*testing.T) *watched { s := newStore(); s.steps = true; return s },
		"etcd":   func(t *testing.T) *watched { return onEtcd(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			in := inputs(pool("a", "10.65.0.0/16", 26))
			a, b := node(s, "n1", in), node(s, "n2", in)
			for _, n := range []*ipam.Allocator{a, b, a, b, b, a} {
				assign(t, n, v4("shared"))
			}
			handles := snapshot(t, s).Handles
			if len(handles) != 1 || len(handles[0].Blocks) != 2 {
				t.Fatalf("handles %+v: want one, in two blocks", handles)
			}
			for cidr, n := range handles[0].Blocks {
				if n != 3 {
					t.Errorf("the handle counts %d in %s, want 3", n, cidr)
				}
			}
			// Several at once, all of which the other host has: one transaction meets all of their handles.
			const many = 16
			for i := range many {
				assign(t, a, v4(fmt.Sprint("many", i)))
			}
			errs := make(chan error, many)
			for i := range many {
				go func() {
					_, err := b.Assign(soon(t), v4(fmt.Sprint("many", i)))
					errs <- err
				}()
			}
			for range many {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			for i := range many {
				release(t, b, fmt.Sprint("many", i))
			}
			release(t, a, "shared")
			left := snapshot(t, s)
			if len(left.Handles) > 0 {
				t.Errorf("after its release the handle counts %v", left.Handles[0].Blocks)
			}
			for _, block := range left.Blocks {
				if len(block.Attributes) > 0 {
					t.Errorf("block %s still holds %v", block.CIDR, block.Attributes)
				}
			}
		})
	}
}
