package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	one := inWorldOf(func(c *cobra.Command, args []string) error {
		l, err := Open(args[0], c.OutOrStdout())
		if err != nil {
			return err
		}
		return l.PrintStatus(c.Context())
	})
	return &cobra.Command{
		Use: "status [NAME]", Short: "Show a lab's nodes and workloads, or the labs that are up", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return printLabs(c.OutOrStdout())
			}
			return one(c, args)
		},
	}
}

// printLabs lists the labs of this user.
func printLabs(out io.Writer) error {
	dirs, err := filepath.Glob(filepath.Join(Root(), "*", "log"))
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "LAB\tNODES\tWORKLOADS\tSTORE")
	for _, d := range dirs {
		name := filepath.Base(filepath.Dir(d))
		if !nameRule.MatchString(name) {
			continue // the world of one
		}
		l, err := Open(name, out)
		if err != nil {
			fmt.Fprintf(t, "%s\t%v\n", name, err)
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\n", name, len(l.file.Nodes), len(l.file.Workloads), l.storeURL())
	}
	return t.Flush()
}

// statusLimit is how long an agent may take to answer.
const statusLimit = 2 * time.Second

// PrintStatus writes how nodes and workloads stand, and what is wrong.
func (l *Lab) PrintStatus(ctx context.Context) error {
	t := tabwriter.NewWriter(l.out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tADDRESSES\tAGENT\tWORKLOADS\tBGP")
	var wrong []string
	for _, n := range l.file.Nodes {
		state, bound, bgp, reasons := l.nodeStatus(ctx, n.Name)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", n.Name, addresses(n.addrs), state, bound, bgp)
		wrong = append(wrong, reasons...)
	}
	if len(l.file.Workloads) > 0 {
		fmt.Fprintln(t)
		fmt.Fprintln(t, "WORKLOAD\tADDRESSES\tNODE\tPORTS")
	}
	for _, w := range l.file.Workloads {
		var ports []string
		for _, p := range w.Ports {
			ports = append(ports, p.String())
		}
		l.mu.Lock()
		addrs := slices.Clone(l.addrs[w.Name])
		l.mu.Unlock()
		fmt.Fprintf(t, "%s/%s\t%s\t%s\t%s\n", w.Namespace, w.Name, orNone(join(addrs)), w.Node, strings.Join(ports, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if l.run.pid("store") == 0 {
		wrong = append(wrong, "store: not running")
	}
	for _, w := range wrong {
		l.say("%s", w)
	}
	return nil
}

// nodeStatus is the columns of a node, and what is wrong there.
func (l *Lab) nodeStatus(ctx context.Context, node string) (state, bound, bgp string, wrong []string) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	s, err := l.Status(ctx, node)
	if err != nil {
		if l.run.pid("agent-"+node) == 0 {
			return "not running", "-", "-", nil
		}
		return "no answer", "-", "-", []string{fmt.Sprintf("%s: %v", node, err)}
	}
	state, bgp = "ready", "off"
	if !s.Ready {
		state = "not ready"
	}
	for _, r := range s.NotReady {
		wrong = append(wrong, node+": "+r)
	}
	for _, p := range s.Problems {
		wrong = append(wrong, fmt.Sprintf("%s: %s: %s", node, p.Object, p.Reason))
	}
	for _, p := range s.Planes {
		if p.Error != "" {
			wrong = append(wrong, fmt.Sprintf("%s: %s: %s", node, p.Name, p.Error))
		}
		for _, object := range slices.Sorted(maps.Keys(p.Failures)) {
			wrong = append(wrong, fmt.Sprintf("%s: %s: %s: %s", node, p.Name, object, p.Failures[object]))
		}
	}
	if s.BGP != nil {
		up := 0
		for _, p := range s.BGP.Peers {
			if p.State == established {
				up++
			}
		}
		bgp = fmt.Sprintf("%d of %d Established", up, len(s.BGP.Peers))
	}
	return state, fmt.Sprint(s.Bound), bgp, wrong
}

const established = "Established" // the state of RFC 4271 §8.2.2

func addresses(prefixes []netip.Prefix) string {
	var all []netip.Addr
	for _, p := range prefixes {
		all = append(all, p.Addr())
	}
	return join(all)
}

func join(addrs []netip.Addr) string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// AwaitBGP waits until every BGP session of every node is Established and returns how many ends of sessions there are.
func (l *Lab) AwaitBGP(ctx context.Context, limit time.Duration) (sessions int, err error) {
	for _, n := range l.file.Nodes {
		count := 0
		if err := until(ctx, limit, "BGP of node "+n.Name, func() error {
			s, err := l.Status(ctx, n.Name)
			if err != nil || s.BGP == nil {
				return l.alive("agent-"+n.Name, err)
			}
			count = len(s.BGP.Peers)
			for _, p := range s.BGP.Peers {
				if p.State != established {
					return fmt.Errorf("%s is %s: %s", p.Name, p.State, orNone(p.LastError))
				}
			}
			return nil
		}); err != nil {
			return 0, err
		}
		sessions += count
	}
	return sessions, nil
}

// Ready is nil when a node's agent is ready, else why not.
func (l *Lab) Ready(ctx context.Context, node string) error {
	s, err := l.Status(ctx, node)
	if err == nil && !s.Ready {
		err = errors.New(strings.Join(s.NotReady, "; "))
	}
	return l.alive("agent-"+node, err)
}

// awaitReady waits until a node's agent is ready.
func (l *Lab) awaitReady(ctx context.Context, node string) error {
	return until(ctx, 20*time.Second, "node "+node, func() error { return l.Ready(ctx, node) })
}
