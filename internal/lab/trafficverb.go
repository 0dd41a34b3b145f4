package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/lab/traffic"
)

// maxTraffic bounds a run of traffic: it loads the machine.
const maxTraffic = 10 * time.Minute

func trafficCommand() *cobra.Command {
	var o trafficOptions
	c := &cobra.Command{
		Use: "traffic NAME --from WORKLOAD --to WORKLOAD", Args: cobra.ExactArgs(1),
		Short: "Send standard traffic between two workloads and count what is lost and what leaks",
		Long: fmt.Sprintf(`Standard traffic is, in each address family: %d numbered UDP packets per second each way, one TCP stream each way,
%d new TCP connections per second each way. Ports: %d (UDP), %d and %d (TCP), and 10 more than these for IPv6.
Fails when anything was lost, or when anything got through that --deny or --deny-back says policy denies.`,
			traffic.PacketsPerSecond, traffic.ConnectsPerSec, traffic.PortUDP, traffic.PortStream, traffic.PortConnect),
		Example: `  tortie lab traffic demo --from web-1 --to api-1 --for 5s --deny-back
  tortie lab traffic demo --from visitor --to db-1 --deny`,
		RunE: inWorldOf(func(c *cobra.Command, args []string) error {
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			return l.Traffic(c.Context(), o)
		}),
	}
	c.Flags().StringVar(&o.from, "from", "", "the workload at one end")
	c.Flags().StringVar(&o.to, "to", "", "the workload at the other end")
	c.Flags().DurationVar(&o.last, "for", 10*time.Second, "how long, up to 10m; Ctrl-C ends it earlier")
	c.Flags().BoolVar(&o.deny, "deny", false, "policy denies what --from opens to --to")
	c.Flags().BoolVar(&o.denyBack, "deny-back", false, "policy denies what --to opens to --from")
	c.MarkFlagsRequiredTogether("from", "to")
	return c
}

type trafficOptions struct {
	from, to       string
	last           time.Duration
	deny, denyBack bool
}

// Traffic runs standard traffic and prints the report. It ends early, and still reports, when ctx ends.
func (l *Lab) Traffic(ctx context.Context, o trafficOptions) error {
	if o.last < time.Second || o.last > maxTraffic {
		return fmt.Errorf("--for %s: allowed are 1s to %s", o.last, maxTraffic)
	}
	for flag, name := range map[string]string{"--from": o.from, "--to": o.to} {
		if l.file.workload(name) == nil {
			return fmt.Errorf("%s %q: lab %s has no such workload", flag, name, l.file.Name)
		}
	}
	if o.from == o.to {
		return fmt.Errorf("--from and --to are both %s", o.to)
	}
	var pairs []traffic.Pair
	for _, family := range []int{4, 6} {
		if _, ok := l.address(o.to, family); !ok {
			continue
		}
		if p, err := l.pair(family, o.from, o.to, o.deny, o.denyBack); err == nil {
			pairs = append(pairs, p)
		}
	}
	if len(pairs) == 0 {
		return fmt.Errorf("%s and %s have no address family in common", o.from, o.to)
	}
	l.say("standard traffic between %s and %s for %s, %s", o.from, o.to, o.last, count(len(pairs), "pair"))
	run, err := traffic.Start(context.WithoutCancel(ctx), o.last+time.Second, pairs...)
	if err != nil {
		return err
	}
	_ = pause(ctx, o.last)
	report, err := run.Stop()
	l.say("%s", report)
	if err == nil && !report.Clean() {
		err = errors.New("packets were lost or leaked")
	}
	return err
}
