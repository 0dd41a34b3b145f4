package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

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
	sessions, err := l.AwaitBGP(ctx, 15*time.Second)
	if err != nil {
		return err
	}
	l.say("%d BGP session ends Established", sessions)
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
	fmt.Fprint(out, text)
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
	fmt.Fprint(out, text)

	title("The agent of n2 killed with -9 under standard traffic, then started again")
	report, err := l.killUnderTraffic(ctx, "n2")
	if err != nil {
		return err
	}
	l.say("%s", report)
	if !report.Clean() {
		return errors.New("packets were lost or leaked")
	}
	title("All of it in %.1f s; taking the lab away", time.Since(start).Seconds())
	return nil
}

// settle waits until expectations hold, in every family.
func (l *Lab) settle(ctx context.Context, expect []Expect) error {
	for _, e := range expect {
		if err := l.file.checkExpect(&e); err != nil {
			return err
		}
		for _, family := range []int{4, 6} {
			if addr, ok := l.address(e.To, family); ok {
				if err := l.expect(ctx, e, addr); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// killUnderTraffic runs standard traffic, allowed and denied, through a node whose agent is killed and started again.
func (l *Lab) killUnderTraffic(ctx context.Context, node string) (traffic.Report, error) {
	allowed, err := l.pair("web-1", "api-1", false, true)
	if err != nil {
		return traffic.Report{}, err
	}
	denied, err := l.pair("visitor", "web-2", true, false)
	if err != nil {
		return traffic.Report{}, err
	}
	run, err := traffic.Start(ctx, 30*time.Second, allowed, denied)
	if err != nil {
		return traffic.Report{}, err
	}
	fault := func() error {
		time.Sleep(time.Second)
		if err := l.KillAgent(node); err != nil {
			return err
		}
		time.Sleep(2 * time.Second)
		if err := l.StartAgent(node); err != nil {
			return err
		}
		if err := l.awaitReady(ctx, node); err != nil {
			return err
		}
		if _, err := l.AwaitBGP(ctx, 15*time.Second); err != nil {
			return err
		}
		time.Sleep(time.Second)
		return nil
	}()
	report, err := run.Stop()
	return report, errors.Join(fault, err)
}

func (l *Lab) pair(a, b string, denyAB, denyBA bool) (p traffic.Pair, err error) {
	p = traffic.Pair{DenyAB: denyAB, DenyBA: denyBA}
	if p.A, err = l.End(a, 4); err != nil {
		return p, err
	}
	p.B, err = l.End(b, 4)
	return p, err
}
