package agent

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/obs"
	"github.com/tortie-net/tortie/internal/plane/nft"
	"github.com/tortie-net/tortie/internal/query"
)

// Status implements query.Source.
func (a *Agent) Status() query.Status {
	feed := a.feed.Status()
	s := query.Status{
		Node: a.config.Node, Version: obs.Version, Started: a.started,
		NotReady: a.health.NotReady(),
		Store:    query.StoreStatus{Connected: feed.Connected, InSync: feed.InSync, Revision: uint64(feed.Revision), LastError: feed.LastError},
	}
	s.Ready = len(s.NotReady) == 0
	for _, p := range a.core.planes {
		st, err := p.Status()
		ps := query.PlaneStatus{
			Name: p.Name(), Objects: st.Objects, Pending: st.Pending, Writes: st.Writes, Bytes: st.Bytes,
			Repairs: st.Repairs, Failures: st.Failures,
		}
		if err != nil {
			ps.Error = err.Error()
		}
		s.Planes = append(s.Planes, ps)
	}

	a.core.mu.Lock()
	for _, k := range a.core.problemList() {
		s.Problems = append(s.Problems, query.Problem{Object: k.String(), Reason: a.core.problems[k]})
	}
	if cfg := a.core.local.Config(); cfg != nil {
		for _, p := range cfg.Problems {
			s.Problems = append(s.Problems, query.Problem{Object: "configuration", Reason: p})
		}
	}
	for _, p := range a.fileProblems() {
		s.Problems = append(s.Problems, query.Problem{Object: "file", Reason: p.Error()})
	}
	if names := a.foreignDrops.Load(); names != nil {
		for _, n := range *names {
			s.Problems = append(s.Problems, query.Problem{
				Object: "nftables chain " + n,
				Reason: "drops what it does not accept on its way through the node, workloads' packets too: accept them there, as by `iptables -P FORWARD ACCEPT` or a rule for the pools",
			})
		}
	}
	s.Endpoints, s.Bound = a.core.local.Count()
	bgp := a.core.local.BGP()
	a.core.mu.Unlock()

	if bgp != nil && bgp.Enabled {
		adverts, learned := a.speaking.counts()
		s.BGP = &query.BGPStatus{AS: bgp.AS, RouterID: bgp.RouterID.String(), Adverts: adverts, Learned: learned}
		for _, p := range a.speaking.speaker.Peers() {
			s.BGP.Peers = append(s.BGP.Peers, query.Peer{
				Name: p.Name, Address: p.Address.String(), AS: p.AS, State: p.State, Since: p.Since, Received: p.Received,
				Sent: p.Advertised, LastError: p.LastError,
			})
		}
	}
	return s
}

// fileProblems is what could not be used of the files of an earlier run.
func (a *Agent) fileProblems() []error {
	problems := a.journal.Problems()
	if a.intentProblem != nil {
		problems = append(problems, a.intentProblem)
	}
	return problems
}

// Endpoints implements query.Source.
func (a *Agent) Endpoints() []query.Endpoint {
	a.core.mu.Lock()
	defer a.core.mu.Unlock()
	var out []query.Endpoint
	for e, b := range a.core.local.All() {
		q := query.Endpoint{ID: e.ID, Interface: b.Interface, ContainerID: b.ContainerID, Bound: b.Interface != "", Profiles: e.Profiles}
		for _, addr := range b.Addresses {
			q.Addresses = append(q.Addresses, addr.String())
		}
		for _, t := range e.Tiers {
			q.Tiers = append(q.Tiers, query.Tier{Name: t.Name, Ingress: t.Ingress, Egress: t.Egress})
		}
		out = append(out, q)
	}
	slices.SortFunc(out, func(x, y query.Endpoint) int { return strings.Compare(x.ID, y.ID) })
	return out
}

var owners = map[intent.RouteOwner]string{
	intent.RouteWorkload: "workload", intent.RouteBlock: "block", intent.RouteCluster: "cluster", intent.RouteBGP: "bgp",
}

// Routes implements query.Source.
func (a *Agent) Routes() []query.Route {
	a.core.mu.Lock()
	defer a.core.mu.Unlock()
	var out []query.Route
	for r := range a.core.local.Routes() {
		q := query.Route{Prefix: r.Prefix.String(), Owner: owners[r.Owner], Device: r.Device, Metric: r.Metric}
		for _, h := range r.NextHops {
			q.NextHops = append(q.NextHops, h.String())
		}
		out = append(out, q)
	}
	slices.SortFunc(out, func(x, y query.Route) int { return strings.Compare(x.Prefix, y.Prefix) })
	return out
}

// Counters implements query.Source.
func (a *Agent) Counters() []query.Counter {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	var counters nft.Counters
	var err error
	if busy := a.core.planes[0].Call(ctx, func() { counters, err = a.policy.Counters() }); busy != nil {
		err = busy
	}
	if err != nil {
		a.log.Warn("counters cannot be read", "err", err)
		return nil
	}
	var out []query.Counter
	for id, c := range counters.Rules {
		out = append(out, query.Counter{Rule: id.String(), Packets: c.Packets, Bytes: c.Bytes})
	}
	slices.SortFunc(out, func(x, y query.Counter) int { return strings.Compare(x.Rule, y.Rule) })
	return out
}
