package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tortie-net/tortie/examples"
	"github.com/tortie-net/tortie/internal/lab/traffic"
)

// afterPolicies is what must hold once the demo's policies are in.
var afterPolicies = []Expect{
	{From: "web-1", To: "api-1", Verdict: "allow"},
	{From: "web-2", To: "api-2", Verdict: "allow"},
	{From: "api-1", To: "db-1", Verdict: "allow"},
	{From: "api-2", To: "db-1", Verdict: "allow"},
	{From: "web-1", To: "db-1", Verdict: "deny"},
	{From: "visitor", To: "api-1", Verdict: "deny"},
	{From: "visitor", To: "web-1", Verdict: "deny"},
	{From: "api-1", To: "web-2", Verdict: "deny"},
	{From: "web-1", To: "visitor", Verdict: "allow"},
}

// Demo shows the main job from nothing to nothing: three nodes, six workloads, routes by BGP, policies, an explanation, and
// an agent killed under standard traffic. Any promise that does not hold is an error.
func Demo(ctx context.Context, out io.Writer) (err error) {
	start := time.Now()
	raw, err := examples.Demo.ReadFile("demo/lab.yaml")
	if err != nil {
		return err
	}
	policies, err := examples.Demo.ReadFile("demo/policies.yaml")
	if err != nil {
		return err
	}
	f, err := ParseFile(raw, "examples/demo/lab.yaml", ".")
	if err != nil {
		return err
	}
	l, err := New(f, out)
	if err != nil {
		return err
	}
	title := func(format string, args ...any) { fmt.Fprintf(out, "\n== "+format+"\n", args...) }

	title("A lab: three nodes, six workloads, nothing but namespaces")
	if err := l.Up(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	sessions, err := l.AwaitBGP(ctx, bgpPatience)
	if err != nil {
		return err
	}
	l.step("%s Established", count(sessions, "BGP session end"))
	if err := l.settle(ctx, []Expect{{From: "web-1", To: "api-2", Verdict: "allow"}, {From: "visitor", To: "db-1", Verdict: "allow"}, {From: "db-1", To: "web-2", Verdict: "allow"}}); err != nil {
		return err
	}

	title("Who reaches whom, without policy")
	if err := l.Matrix(ctx); err != nil {
		return err
	}

	title("tortie apply -f examples/demo/policies.yaml: a default deny and two allows")
	text, err := l.Output(ctx, strings.NewReader(string(policies)), "apply", "-f", "-")
	if err != nil {
		return err
	}
	fmt.Fprint(out, fold(text, columns))
	if err := l.settle(ctx, afterPolicies); err != nil {
		return err
	}
	if err := l.Matrix(ctx); err != nil {
		return err
	}

	title("tortie explain shop/web-1 shop/db-1:5432/TCP")
	text, err = l.Output(ctx, nil, "explain", "shop/web-1", "shop/db-1:5432/TCP")
	if err != nil {
		return err
	}
	fmt.Fprint(out, fold(text, columns))

	title("The agent of n2 killed with -9 under standard traffic, then started again")
	report, err := l.killUnderTraffic(ctx, "n2")
	if err != nil {
		return err
	}
	l.say("%s", strings.TrimSpace(fold(report.String(), columns)))
	if !report.Clean() {
		return errors.New("packets were lost or leaked")
	}
	title("All of it in %.1f s; taking the lab away", time.Since(start).Seconds())
	return nil
}

// killUnderTraffic runs standard traffic, allowed and denied, through a node whose agent is killed and started again.
func (l *Lab) killUnderTraffic(ctx context.Context, node string) (traffic.Report, error) {
	allowed, err := l.pair(4, "web-1", "api-1", false, true)
	if err != nil {
		return traffic.Report{}, err
	}
	denied, err := l.pair(4, "visitor", "web-2", true, false)
	if err != nil {
		return traffic.Report{}, err
	}
	run, err := traffic.Start(ctx, 30*time.Second, allowed, denied)
	if err != nil {
		return traffic.Report{}, err
	}
	fault := func() error {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		if err := l.KillAgent(node); err != nil {
			return err
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
		if err := l.StartAgent(node); err != nil {
			return err
		}
		if err := l.awaitReady(ctx, node); err != nil {
			return err
		}
		if _, err := l.AwaitBGP(ctx, bgpPatience); err != nil {
			return err
		}
		return pause(ctx, time.Second)
	}()
	report, err := run.Stop()
	return report, errors.Join(fault, err)
}

// pause waits, but not past the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// pair is two places of the lab as ends of traffic, with what policy says of it.
func (l *Lab) pair(family int, a, b string, denyAB, denyBA bool) (p traffic.Pair, err error) {
	p = traffic.Pair{DenyAB: denyAB, DenyBA: denyBA}
	if p.A, err = l.End(a, family); err != nil {
		return p, err
	}
	p.B, err = l.End(b, family)
	return p, err
}

// columns is how wide the demo's output is at most.
const columns = 100

// fold breaks lines that are wider than width between words, and indents what goes on a little more than the line. A word
// that is wider stays whole.
func fold(text string, width int) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if utf8.RuneCountInString(line) <= width {
			out.WriteString(line + "\n")
			continue
		}
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		at := 0 // column
		for i, word := range strings.Fields(line) {
			n := utf8.RuneCountInString(word)
			switch {
			case i == 0:
				out.WriteString(indent)
				at = len(indent)
			case at+1+n > width:
				out.WriteString("\n    " + indent)
				at = len(indent) + 4
			default:
				out.WriteByte(' ')
				at++
			}
			out.WriteString(word)
			at += n
		}
		out.WriteByte('\n')
	}
	return out.String()
}
