package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (e environment) explainCommand() *cobra.Command {
	var from sources
	var namespace, output string
	var sourcePort uint16
	var code bool
	c := &cobra.Command{
		Use:   "explain SRC DST[:PORT[/PROTO]]",
		Short: "Say whether a flow is allowed, what decides, and which way it takes",
		Long: `Says whether the first packet of a flow is allowed, which tiers, policies and rules were consulted, what decided,
and which way the packets take. It asks the engine that the agents run, on what the store holds, or with -f on files
alone, before anything is applied.

SRC and DST are NAMESPACE/POD, a POD of the namespace of -n, the name of a WorkloadEndpoint, or an address. PORT is a
number or the name of a port of the destination; PROTO is TCP (if not said), UDP, SCTP, ICMP, ICMPv6, UDPLite or a
number. Without a port only rules that name none can match.`,
		Example: `  tortie explain shop/web shop/db:5432
  tortie explain 203.0.113.7 shop/web:http
  tortie explain -f policies/ -f workloads.yaml shop/web shop/db:53/UDP
  tortie explain shop/web [2001:db8::53]:53/UDP -o json`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: e.completeFlows,
		RunE: func(c *cobra.Command, args []string) error {
			if output != "" && output != "json" {
				return usagef("-o %q: must be json, or left out", output)
			}
			to, service, err := parseDestination(args[1])
			if err != nil {
				return err
			}
			n, err := e.snapshot(c, from, namespace)
			if err != nil {
				return err
			}
			g := newEngine(n)
			src, err := g.find(args[0], namespace)
			if err != nil {
				return err
			}
			dst, err := g.find(to, namespace)
			if err != nil {
				return err
			}
			if err := service.resolve(dst); err != nil {
				return err
			}
			flows, err := g.explain(src, dst, service, sourcePort)
			if err != nil {
				return err
			}
			r := report{engine: g, src: src, dst: dst, service: service, flows: flows}
			if output == "json" {
				if err := writeJSON(c.OutOrStdout(), r.answer()); err != nil {
					return err
				}
			} else {
				r.print(c.OutOrStdout())
			}
			if code && !r.allowed() {
				return deniedError{}
			}
			return nil
		},
	}
	from.flags(c)
	c.Flags().StringVarP(&namespace, "namespace", "n", defaultNamespace, "namespace of names without one, and of objects of -f that name none")
	c.Flags().StringVarP(&output, "output", "o", "", "json")
	c.Flags().Uint16Var(&sourcePort, "source-port", 40000, "port of the source, for rules that name one")
	c.Flags().BoolVar(&code, "exit-code", false, "exit with 5 when the flow is denied in a family")
	return c
}

// snapshot is that of files, or of the store. Objects that cannot be used are warned of.
func (e environment) snapshot(c *cobra.Command, from sources, namespace string) (*snapshot, error) {
	if len(from.files) > 0 {
		manifests, err := from.read(c.InOrStdin())
		if err != nil {
			return nil, err
		}
		for i := range manifests {
			if err := place(&manifests[i], namespace, false); err != nil {
				return nil, at(manifests[i], err)
			}
			for _, field := range manifests[i].Unknown {
				fmt.Fprintf(c.ErrOrStderr(), "warning: %s:%d: %s: %s: there is no such field: left out\n", manifests[i].Source, manifests[i].Line, subject(manifests[i].Key), field)
			}
		}
		n, err := fromManifests(manifests)
		if err != nil {
			return nil, err
		}
		n.warn(c)
		return n, nil
	}
	n, err := e.storeSnapshot(c.Context())
	if err != nil {
		return nil, err
	}
	n.warn(c)
	return n, nil
}

func (e environment) storeSnapshot(ctx context.Context) (n *snapshot, err error) {
	s, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return takeSnapshot(ctx, s)
}

func (n *snapshot) warn(c *cobra.Command) {
	for _, p := range n.problems {
		fmt.Fprintf(c.ErrOrStderr(), "warning: %s: %s\n", p.Object, p.Reason)
	}
}
