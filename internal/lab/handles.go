package lab

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/tortie-net/tortie/internal/kernel"
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
	a, b := l.file.workload(from), l.file.workload(to)
	if a == nil || b == nil {
		return fmt.Errorf("%s or %s is not among the workloads", from, to)
	}
	addr, ok := l.address(to, family)
	if !ok {
		return fmt.Errorf("%s has no IPv%d address", to, family)
	}
	return l.probe(ctx, a, b, b.Ports[0].Protocol, b.Ports[0].Port, addr)
}

// Status asks a node's agent.
func (l *Lab) Status(ctx context.Context, node string) (query.Status, error) {
	c := query.NewClient(l.querySocket(node))
	defer c.Close()
	return c.Status(ctx)
}

// Ready is nil when a node's agent is ready, else why not.
func (l *Lab) Ready(ctx context.Context, node string) error {
	s, err := l.Status(ctx, node)
	if err == nil && !s.Ready {
		err = errors.New(strings.Join(s.NotReady, "; "))
	}
	return l.alive("agent-"+node, err)
}

// FlushPolicy removes a node's policy table with the nft program, as a boot does.
func (l *Lab) FlushPolicy(node string) error {
	ns, err := l.net.get(node)
	if err != nil {
		return err
	}
	cmd := exec.Command("nft", "delete", "table", "inet", "tortie")
	if err := ns.Do(cmd.Start); err != nil {
		return err
	}
	return cmd.Wait()
}
