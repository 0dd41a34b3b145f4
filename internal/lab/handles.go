package lab

import (
	"context"
	"errors"
	"fmt"

	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/query"
)

// What tests ask of a lab.

// RunDir is the folder of a node's agent.
func (l *Lab) RunDir(node string) string { return l.runDir(node) }

// MakeNamespace makes a namespace for a workload that has no objects.
func (l *Lab) MakeNamespace(name string) (*kernel.Namespace, error) { return l.net.make(name) }

// Namespace opens the namespace of a node, router or workload.
func (l *Lab) Namespace(name string) (*kernel.Namespace, error) { return l.net.get(name) }

// Probe sends real packets between two workloads of the lab file, to the first port of the target; nil: the right one
// answered.
func (l *Lab) Probe(ctx context.Context, from, to string, family int) error {
	b := l.file.workload(to)
	if l.file.workload(from) == nil || b == nil {
		return fmt.Errorf("%s or %s is not among the workloads", from, to)
	}
	addr, ok := l.address(to, family)
	if !ok {
		return fmt.Errorf("%s has no IPv%d address", to, family)
	}
	return l.probe(ctx, from, to, b.Ports[0].Protocol, b.Ports[0].Port, addr)
}

// Status asks a node's agent.
func (l *Lab) Status(ctx context.Context, node string) (query.Status, error) {
	c := query.NewClient(l.querySocket(node))
	defer c.Close()
	return c.Status(ctx)
}

// FlushPolicy removes a node's policy table, as a boot or a foreign flush does.
func (l *Lab) FlushPolicy(node string) error {
	ns, err := l.net.get(node)
	if err != nil {
		return err
	}
	conn, err := nftnl.Open(ns.FD())
	if err != nil {
		return err
	}
	batch := nftnl.NewBatch(nftnl.Inet, "tortie")
	batch.DeleteTable()
	return errors.Join(conn.Send(batch), conn.Close())
}
