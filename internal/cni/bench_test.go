package cni

import (
	"fmt"
	"testing"
)

// BenchmarkAddDel is one container's life without a real store and planes: what the plugin's agent side itself takes.
func BenchmarkAddDel(b *testing.B) {
	n := newTestNode(b)
	ns := pod(b)
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprintf("%07d", i)
		n.mustAdd(id, "", config(""), ns)
		n.mustDel(id, "", ns)
	}
}
