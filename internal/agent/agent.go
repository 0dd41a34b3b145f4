package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tortie-net/tortie/internal/bgp/gobgp"
	"github.com/tortie-net/tortie/internal/cni"
	"github.com/tortie-net/tortie/internal/config"
	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/feed"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/obs"
	"github.com/tortie-net/tortie/internal/plane"
	"github.com/tortie-net/tortie/internal/plane/link"
	"github.com/tortie-net/tortie/internal/plane/nft"
	"github.com/tortie-net/tortie/internal/plane/route"
	"github.com/tortie-net/tortie/internal/plane/sysctl"
	"github.com/tortie-net/tortie/internal/query"
	"github.com/tortie-net/tortie/internal/store"
)

// The time-outs and periods of the agent.
const (
	intentPeriod = 10 * time.Second // the intent is written to disk at most this often
	planeTimeout = 90 * time.Second // a plane silent for so long is stuck
)

const planeRoute = "route"

// kinds is what the agent follows in the store.
var kinds = []model.Kind{
	model.KindTier, model.KindNetworkPolicy, model.KindGlobalNetworkPolicy, model.KindStagedNetworkPolicy,
	model.KindStagedGlobalNetworkPolicy, model.KindStagedKubernetesNetworkPolicy, model.KindNetworkSet,
	model.KindGlobalNetworkSet, model.KindHostEndpoint, model.KindWorkloadEndpoint, model.KindProfile, model.KindNode,
	model.KindIPPool, model.KindIPReservation, model.KindIPAMConfiguration, model.KindIPAMConfig,
	model.KindBGPConfiguration, model.KindBGPPeer, model.KindFelixConfiguration, model.KindClusterInformation,
	model.KindBlock, model.KindAffinity, model.KindNamespace, model.KindServiceAccount, model.KindPod, model.KindService,
	model.KindEndpointSlice, model.KindKubernetesNetworkPolicy,
}

// Agent is one node's: feed, calc, planes, CNI, BGP, wired together.
type Agent struct {
	config   Config
	log      *slog.Logger
	level    *slog.LevelVar
	store    store.Store
	started  time.Time
	health   *obs.Health
	feed     *feed.Feed
	core     *core
	policy   *nft.Plane
	ipam     *ipam.Allocator
	journal  *cni.Journal
	server   *cni.Server
	speaking *speaking
	closers  []io.Closer

	intentProblem error                    // set before Run serves
	settled       bool                     // the kernel has held the whole intent once; for reportHealth alone
	foreignDrops  atomic.Pointer[[]string] // chains of others that drop what is forwarded
}

// New constructs an agent on a store, in the network namespace of the process. Nothing in the kernel changes yet.
func New(c Config, s store.Store, log *slog.Logger, level *slog.LevelVar) (*Agent, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	for _, dir := range []string{c.RunDir, filepath.Join(c.RunDir, "cni")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("run directory: %w", err)
		}
	}
	a := &Agent{config: c, log: log.With(obs.KeyNode, c.Node), level: level, store: s, started: time.Now(), health: &obs.Health{}}
	if err := a.connect(); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// connect makes the parts and joins them.
func (a *Agent) connect() error {
	ns, err := kernel.CurrentNamespace()
	if err != nil {
		return err
	}
	a.closers = append(a.closers, ns)
	if a.policy, err = nft.New(ns.FD()); err != nil {
		return err
	}
	a.closers = append(a.closers, a.policy)
	routes, err := route.New(route.Options{Namespace: ns})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, routes)
	settings := sysctl.New(sysctl.Options{Namespace: ns})
	a.closers = append(a.closers, settings)
	links, err := link.New(link.Options{Namespace: ns})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, links)
	runner := func(p plane.Plane, kinds ...intent.Kind) *plane.Runner {
		a.health.Watch("plane "+p.Name(), planeTimeout)
		return plane.NewRunner(p, a.log, func() { a.health.Beat("plane " + p.Name()) }, kinds...)
	}
	a.core = newCore(a.config.Node, a.log, []*plane.Runner{
		runner(a.policy, intent.KindHost, intent.KindSet, intent.KindPolicy, intent.KindProfile, intent.KindLocalEndpoint),
		runner(routes, intent.KindHost, intent.KindRoute),
		runner(links, intent.KindLocalEndpoint),
		runner(settings, intent.KindSysctl),
	})
	a.speaking = newSpeaking(a.core, gobgp.New(a.log), a.log)
	a.ipam = ipam.New(a.store, a.config.Node, ipam.Options{Handles: true, Log: a.log})
	a.core.inputs = func() {
		if in := a.core.local.IPAM(); in != nil {
			a.ipam.SetInputs(ipamInputs(in))
		}
		a.speaking.want(a.core.local.BGP(), a.core.local.Adverts())
	}
	a.feed = feed.New(a.store, store.Query{Kinds: kinds}, decode, a.log)
	journal, err := cni.OpenJournal(cni.JournalOptions{Dir: filepath.Join(a.config.RunDir, "cni"), Node: a.config.Node})
	if err != nil {
		return err
	}
	a.journal = journal
	a.server, err = cni.NewServer(cni.Options{
		Socket: filepath.Join(a.config.RunDir, "cni.sock"), Node: a.config.Node, Journal: journal,
		Allocator: &allocator{a.config.Node, a.store, a.ipam}, Waiter: a.core, Namespace: ns, Log: a.log,
	})
	return err
}

// decode makes of a stored object the value that calc takes. What cannot be read becomes what closes.
func decode(o store.Object) (any, error) {
	if o.Problem != nil {
		return convert.Unreadable(o.Key, o.Problem)
	}
	return convert.Model(o.Key, o.Value)
}

// Run serves until ctx ends. What it made in the kernel stays: the node keeps its network and its policy.
func (a *Agent) Run(ctx context.Context) error {
	defer func() {
		if err := a.close(); err != nil {
			a.log.Warn("shut down", "err", err)
		}
	}()
	for _, part := range []string{"store", "planes", "node"} {
		a.health.Ready(part, "not started")
	}
	socket, err := query.Listen(filepath.Join(a.config.RunDir, "query.sock"))
	if err != nil {
		return err
	}
	a.core.adopt(a.journal.Load())
	a.core.environment(config.Environment(os.Environ()).Values)
	if err := a.closeFirst(ctx); err != nil {
		return err
	}

	g, ctx := errgroup.WithContext(ctx)
	metrics := a.metrics()
	g.Go(func() error { return query.Serve(ctx, socket, a, metrics) })
	g.Go(func() error { return a.register(ctx) })
	batches := make(chan feed.Batch)
	g.Go(func() error { return ended(ctx, a.feed.Run(ctx, batches)) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case b := <-batches:
				a.core.take(b)
			}
		}
	})
	for _, p := range a.core.planes {
		g.Go(func() error { p.Run(ctx); return nil })
	}
	g.Go(func() error { a.speaking.run(ctx); return nil })
	g.Go(func() error { return ended(ctx, a.server.Serve(ctx)) })
	g.Go(func() error { a.watch(ctx); return nil })
	g.Go(func() error { a.collect(ctx); return nil })
	g.Go(func() error { a.foreign(ctx); return nil })
	g.Go(func() error { return ended(ctx, a.serveHTTP(ctx, metrics)) })
	return g.Wait()
}

// ended hides the error that the end of the context brings.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// closeFirst closes an empty kernel before anything else (design: fail closed): workload interfaces that nobody knows are
// dropped; with the last intent of this node and cluster at hand, that is what the planes make.
func (a *Agent) closeFirst(ctx context.Context) error {
	missing, err := a.policy.Missing()
	if err != nil {
		return fmt.Errorf("read the policy table: %w", err)
	}
	if !missing {
		return nil // an earlier run's policy stands until the store has spoken
	}
	if err := a.policy.CloseFirst(ctx, interfacePrefixes()); err != nil {
		return fmt.Errorf("close workload interfaces: %w", err)
	}
	objects, _, err := loadIntent(a.intentPath(), a.config.Node)
	if err != nil {
		a.log.Warn("the last intent cannot be used", "err", err)
		a.intentProblem = err
		return nil
	}
	if len(objects) > 0 {
		a.log.Info("starting with the last intent from disk", "objects", len(objects))
		a.core.preload(objects)
	}
	return nil
}

// interfacePrefixes are those of workload interfaces as far as they are known before the store has spoken.
func interfacePrefixes() []string {
	if text := os.Getenv("FELIX_INTERFACEPREFIX"); text != "" {
		return strings.Split(text, ",")
	}
	return []string{"cali"}
}

func (a *Agent) intentPath() string { return filepath.Join(a.config.RunDir, "intent") }

// foreign looks once a minute for chains of others that drop workloads' packets, and names them in the status.
func (a *Agent) foreign(ctx context.Context) {
	for {
		err := a.core.planes[0].Call(ctx, func() {
			names, err := a.policy.ForwardDrops()
			if err != nil {
				a.log.Warn("look for foreign chains", "err", err)
				return
			}
			a.foreignDrops.Store(&names)
		})
		if err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
	}
}

// watch keeps health and the copy of the intent on disk up to date.
func (a *Agent) watch(ctx context.Context) {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	var saved time.Time
	var seq uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		a.reportHealth()
		if time.Since(saved) < intentPeriod {
			continue
		}
		objects, now, cluster := a.core.snapshot(seq)
		if objects == nil {
			continue
		}
		saved, seq = time.Now(), now
		if err := saveIntent(a.intentPath(), a.config.Node, cluster, objects); err != nil {
			a.log.Warn("intent", "err", err)
		}
	}
}

func (a *Agent) reportHealth() {
	status := a.feed.Status()
	switch {
	case !status.InSync:
		a.health.Ready("store", "not in sync: "+status.LastError)
	default:
		a.health.Ready("store", "")
	}
	reason := ""
	for _, p := range a.core.planes {
		if !p.Applied() {
			reason = p.Name() + " has not applied the intent"
		}
		if _, err := p.Status(); err != nil {
			reason = p.Name() + ": " + err.Error()
		}
	}
	a.health.Ready("planes", reason)
	if reason == "" && !a.settled && a.core.Ready() == nil {
		a.settled = true
		go debug.FreeOSMemory() // what reading the store and filling the kernel left behind
	}
	if cfg := a.core.Config(); cfg != nil {
		if level, err := obs.ParseLevel(cfg.LogSeverity); err == nil && a.config.LogLevel == "" {
			a.level.Set(level)
		}
	}
}

func (a *Agent) close() error {
	var errs []error
	for _, c := range a.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
