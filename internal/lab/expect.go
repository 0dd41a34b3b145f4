package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"text/tabwriter"
	"time"
)

// probesAtOnce bounds the probes under way: a machine busy with probing would answer late.
const probesAtOnce = 16

// result is one expectation in one family, shown or not.
type result struct {
	Expect
	family int
	addr   netip.Addr
	took   time.Duration
	err    error
}

// Check shows every expectation by real packets and prints a table; what does not come true in its time is an error.
func (l *Lab) Check(ctx context.Context) error {
	all, err := l.check(ctx, l.file.Expect)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(l.out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "\nFROM\tTO\tPORT\tFAMILY\tEXPECTED\tSHOWN\tAFTER")
	failed := 0
	for _, r := range all {
		shown := "yes"
		if r.err != nil {
			shown = "NO"
			failed++
		}
		fmt.Fprintf(t, "%s\t%s\t%s\tIPv%d\t%s\t%s\t%s\n", r.From, r.To, r.service(), r.family, r.Verdict, shown, r.took.Round(100*time.Microsecond))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	l.say("%s, %d do not", holding(len(all)-failed), failed)
	var errs []error
	for _, r := range all {
		errs = append(errs, r.err)
	}
	return errors.Join(errs...)
}

func holding(n int) string {
	if n == 1 {
		return "1 expectation holds"
	}
	return fmt.Sprintf("%d expectations hold", n)
}

// settle waits until expectations that are not in the lab file hold.
func (l *Lab) settle(ctx context.Context, expect []Expect) error {
	for i := range expect {
		if err := l.file.checkExpect(&expect[i]); err != nil {
			return err
		}
	}
	all, err := l.check(ctx, expect)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range all {
		errs = append(errs, r.err)
	}
	return errors.Join(errs...)
}

// check shows expectations: those that allow first, since in a fresh lab a denied flow may only lack its route.
func (l *Lab) check(ctx context.Context, expect []Expect) ([]result, error) {
	var all []result
	for _, e := range expect {
		results := l.families(e)
		if len(results) == 0 {
			results = []result{{Expect: e, family: max(e.Family, 4), err: fmt.Errorf("%s: they have no address family in common", e)}}
		}
		all = append(all, results...)
	}
	for _, verdict := range []string{"allow", "deny"} {
		var group sync.WaitGroup
		slots := make(chan struct{}, probesAtOnce)
		for i := range all {
			r := &all[i]
			if r.Verdict != verdict || r.err != nil {
				continue
			}
			group.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				start := time.Now()
				r.err = l.show(ctx, r)
				r.took = time.Since(start)
			})
		}
		group.Wait()
	}
	return all, ctx.Err()
}

// families is an expectation in each family that it is of and that both ends have.
func (l *Lab) families(e Expect) []result {
	var all []result
	for _, family := range []int{4, 6} {
		if e.Family != 0 && e.Family != family {
			continue
		}
		addr, ok := e.addr, true
		if !addr.IsValid() {
			addr, ok = l.address(e.To, family)
		}
		_, okFrom := l.address(e.From, family)
		if ok && okFrom {
			all = append(all, result{Expect: e, family: family, addr: addr})
		}
	}
	return all
}

// show waits until an expectation holds.
func (l *Lab) show(ctx context.Context, r *result) error {
	what := fmt.Sprintf("%s over IPv%d", r.Expect, r.family)
	return until(ctx, r.within, what, func() error {
		err := l.probe(ctx, r.From, r.To, r.Protocol, r.Port, r.addr)
		got := outcome(err)
		if got == refused && !l.answers(r.Expect) {
			// Nobody of the lab listens there: who refuses got the packet. (A policy that rejects looks the same.)
			err = nil
		}
		switch {
		case r.Verdict == "allow" && err != nil:
			return fmt.Errorf("the answer was: %s", describe(err))
		case r.Verdict == "deny" && err == nil:
			return errors.New("the packets got through")
		case r.Verdict == "deny" && got == failed:
			return err
		}
		return nil
	})
}

// answers tells whether the lab itself listens where an expectation leads.
func (l *Lab) answers(e Expect) bool {
	ports, _ := l.file.ports(e.To)
	for _, p := range ports {
		if p.Port == e.Port && p.Protocol == e.Protocol {
			return true
		}
	}
	return false
}

// String is the expectation in words.
func (e Expect) String() string {
	to := e.To
	if e.addr.Is6() && e.Port != 0 {
		to = "[" + to + "]"
	}
	sep := ":"
	if e.Port == 0 {
		sep = "/"
	}
	return e.From + " → " + to + sep + e.service() + " " + e.Verdict
}

// service is port and protocol.
func (e Expect) service() string {
	if e.Port == 0 {
		return e.Protocol
	}
	return Port{Port: e.Port, Protocol: e.Protocol}.String()
}

// address is that of a workload, node or router in a family.
func (l *Lab) address(name string, family int) (netip.Addr, bool) {
	l.mu.Lock()
	all := l.addrs[name]
	l.mu.Unlock()
	var prefixes []netip.Prefix
	if n := l.file.node(name); n != nil {
		prefixes = n.addrs
	} else if r := l.file.router(name); r != nil {
		prefixes = l.file.subnet(r.Subnets[0]).addresses(1)
	}
	for _, p := range prefixes {
		all = append(all[:len(all):len(all)], p.Addr())
	}
	for _, a := range all {
		if a.Is4() == (family == 4) {
			return a, true
		}
	}
	return netip.Addr{}, false
}
