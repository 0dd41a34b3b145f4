package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/lab"
	"github.com/tortie-net/tortie/internal/lab/traffic"
)

const faultsLab = `
name: %s
subnets: [{name: lan, cidr: 172.30.7.0/24, cidr6: "fd00:30:7::/64"}]
nodes: [{name: %[1]s-1}, {name: %[1]s-2}]
objects:` + meshPools + `
  - |
    apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: only-friends, namespace: default}
    spec:
      selector: role == 'server'
      types: [Ingress]
      ingress: [{action: Allow, source: {selector: role == 'friend'}}]
    ---
    apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: no-answers, namespace: default}
    spec:
      selector: role == 'friend'
      types: [Ingress]
workloads:
  - {name: friend, node: %[1]s-1, labels: {role: friend}}
  - {name: stranger, node: %[1]s-1, labels: {role: stranger}}
  - {name: server, node: %[1]s-2, labels: {role: server}}
  - {name: neighbour, node: %[1]s-2, labels: {role: neighbour}}
`

// standard is standard traffic of the faults lab: what policy allows and what it denies, in both families.
func standard(t *testing.T, l *lab.Lab, limit time.Duration) *traffic.Run {
	t.Helper()
	var pairs []traffic.Pair
	for _, family := range []int{4, 6} {
		end := func(name string) traffic.Workload {
			w, err := l.End(name, family)
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		if family == 4 {
			pairs = append(pairs, traffic.Pair{A: end("friend"), B: end("server"), DenyBA: true})
		}
		pairs = append(pairs, traffic.Pair{A: end("stranger"), B: end("server"), DenyAB: true})
	}
	run, err := traffic.Start(context.Background(), limit, pairs...)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func mustBeClean(t *testing.T, run *traffic.Run) {
	t.Helper()
	report, err := run.Stop()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if !report.Clean() {
		t.Errorf("not clean: %s", report)
	}
	if report.Packets == 0 || report.Connects == 0 || report.Bytes == 0 {
		t.Error("there was no traffic to speak of")
	}
}

// away is how long the store is gone, in CI as everywhere.
const away = 60 * time.Second

// The store may go away for a minute: packets flow and policy holds, also on a node whose agent is killed and started
// meanwhile; when it is back everything that changed is in force within seconds.
func TestStoreAway(t *testing.T) {
	l := startLab(t, fmt.Sprintf(faultsLab, "away"))
	if _, err := l.AwaitBGP(t.Context(), 15*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the lab's own expectations", func() error {
		return errors.Join(l.Probe(t.Context(), "friend", "server", 4), denied(l.Probe(t.Context(), "stranger", "server", 4)))
	})
	run := standard(t, l, 3*time.Minute)
	time.Sleep(time.Second)
	if err := l.KillStore(); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	time.Sleep(10 * time.Second)
	if err := l.KillAgent("away-2"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if err := l.StartAgent("away-2"); err != nil {
		t.Fatal(err)
	}

	// No address can be given while the store is away, and CNI says so in time, with everything undone.
	late := &lab.Workload{Name: "late", Namespace: "default", Node: "away-1", Labels: map[string]string{"role": "friend"}}
	if _, err := l.MakeNamespace("late"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Attach(t.Context(), late); err == nil {
		t.Error("ADD succeeded although the store is away")
	} else if !strings.Contains(err.Error(), `"code": 11`) && !strings.Contains(err.Error(), `"code":11`) {
		t.Errorf("ADD without store: %v; want CNI error 11", err)
	}
	// DEL must succeed all the same.
	neighbour := &lab.Workload{Name: "neighbour", Namespace: "default", Node: "away-1"}
	neighbour.Node = "away-2"
	if err := l.Detach(t.Context(), neighbour); err != nil {
		t.Errorf("DEL without store: %v", err)
	}

	time.Sleep(away - time.Since(gone))
	if err := l.StartStore(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the store itself", func() error {
		_, err := l.Output(t.Context(), nil, "get", "tiers")
		return err
	})
	back := time.Now()
	mustBeClean(t, run)

	apply(t, l, `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: strangers-too, namespace: default}
spec:
  order: 1
  selector: role == 'server'
  types: [Ingress]
  ingress: [{action: Allow, source: {selector: role == 'stranger'}}]
`)
	eventually(t, 5*time.Second-time.Since(back)+2*time.Second, "a policy applied after the store's return", func() error {
		return l.Probe(t.Context(), "stranger", "server", 4)
	})
	eventually(t, 5*time.Second, "every agent ready again", func() error {
		return errors.Join(l.Ready(t.Context(), "away-1"), l.Ready(t.Context(), "away-2"))
	})
	t.Logf("converged %.1f s after the store answered again", time.Since(back).Seconds())
	// The release that DEL queued has been carried out.
	eventually(t, 15*time.Second, "the queued release", func() error {
		out, err := l.Output(t.Context(), nil, "ipam", "show", "--show-blocks")
		if err == nil && strings.Contains(out, "neighbour") {
			err = errors.New("neighbour still holds an address:\n" + out)
		}
		return err
	})
}

func denied(err error) error {
	if err == nil {
		return errors.New("got through although denied")
	}
	return nil
}

// An agent killed at any moment loses no packet and leaks none, and a restart with nothing changed writes nothing.
func TestAgentKilled(t *testing.T) {
	l := startLab(t, fmt.Sprintf(faultsLab, "killed"))
	if _, err := l.AwaitBGP(t.Context(), 15*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the lab's own expectations", func() error {
		return errors.Join(l.Probe(t.Context(), "friend", "server", 4), denied(l.Probe(t.Context(), "stranger", "server", 4)))
	})
	run := standard(t, l, 2*time.Minute)
	for _, node := range []string{"killed-1", "killed-2"} {
		time.Sleep(500 * time.Millisecond)
		if err := l.KillAgent(node); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := l.StartAgent(node); err != nil {
			t.Fatal(err)
		}
		eventually(t, 15*time.Second, "the agent ready again", func() error { return l.Ready(t.Context(), node) })
		if _, err := l.AwaitBGP(t.Context(), 30*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		s, err := l.Status(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Planes {
			t.Logf("%s after the restart: plane %s: %d objects, %d writes, %d repairs", node, p.Name, p.Objects, p.Writes, p.Repairs)
			if p.Writes != 0 {
				t.Errorf("plane %s wrote %d messages although nothing had changed", p.Name, p.Writes)
			}
		}
	}
	mustBeClean(t, run)
}

// With the kernel empty and the store away, a node closes its workloads' interfaces and takes its last intent from disk.
func TestBootWithoutStore(t *testing.T) {
	l := startLab(t, fmt.Sprintf(faultsLab, "boot"))
	eventually(t, 15*time.Second, "policy", func() error {
		return errors.Join(l.Probe(t.Context(), "neighbour", "stranger", 4), denied(l.Probe(t.Context(), "neighbour", "server", 4)))
	})
	eventually(t, 15*time.Second, "the copy of the intent", func() error {
		_, err := os.Stat(l.RunDir("boot-2") + "/intent")
		return err
	})
	time.Sleep(11 * time.Second) // whatever came later is saved at most every 10 s
	if err := errors.Join(l.KillStore(), l.KillAgent("boot-2"), l.KillAgent("boot-1")); err != nil {
		t.Fatal(err)
	}
	// As after a boot: the policy table is gone. Nothing is enforced then, and the test can see it.
	if err := l.FlushPolicy("boot-2"); err != nil {
		t.Fatal(err)
	}
	if err := l.Probe(t.Context(), "neighbour", "server", 4); err != nil {
		t.Fatalf("without a policy table the node should let everything through: %v", err)
	}
	if err := l.StartAgent("boot-2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "policy from disk", func() error {
		return denied(l.Probe(t.Context(), "neighbour", "server", 4))
	})
	eventually(t, 10*time.Second, "what is allowed, from disk", func() error {
		return l.Probe(t.Context(), "stranger", "neighbour", 4)
	})
}
