package nft

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/plane"
)

// Plane implements plane.Plane and plane.Watcher.
type Plane struct {
	conn    *nftnl.Conn
	readers []*nftnl.Conn // beside conn, for reading many sets
	watch   *nftnl.Watch
	damage  chan string
	done    sync.WaitGroup

	// The intent, and what it needs anew in the kernel.
	host        intent.Host
	sets        map[intent.SetID]*setState
	policies    map[string]*policyState
	profiles    map[string]*profileState
	endpoints   map[string]*endpointState
	interfaces  map[string][]string // interface → endpoints, the one that counts last
	groups      map[string]*group
	dirtyBase   bool
	dirtyRules  map[chainKey]struct{}
	dirtyGroups map[*group]struct{}
	orphans     []chainKey
	problems    map[string]string // object of the intent → why not all of it is enforced

	// The table.
	rules               ruleset
	workloads, from, to *set
	spoof               [2]*set // IPv4, IPv6
	exists, dormant     bool    // the table, as last read or written
	rebuild             bool    // the table holds something that can only be made anew
	synced              bool
	refused             map[string]refused // by chain or set
	repairs             uint64
}

var (
	_ plane.Plane   = (*Plane)(nil)
	_ plane.Watcher = (*Plane)(nil)
)

// New opens the plane in the network namespace that the file descriptor nsfd is of, or in the calling thread's if it is
// 0. Nothing is written yet.
func New(nsfd int) (*Plane, error) {
	conn, err := nftnl.Open(nsfd)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Generation(); err != nil {
		return nil, errors.Join(fmt.Errorf("this kernel has no nftables (CONFIG_NF_TABLES, Linux 6.1 or newer is needed): %w", err), conn.Close())
	}
	readers, err := openReaders(nsfd)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	watch, err := nftnl.OpenWatch(nsfd, conn.PortID())
	if err != nil {
		return nil, errors.Join(err, closeAll(readers), conn.Close())
	}
	p := &Plane{
		conn: conn, readers: readers, watch: watch, damage: make(chan string, 1),
		sets: make(map[intent.SetID]*setState), policies: make(map[string]*policyState),
		profiles: make(map[string]*profileState), endpoints: make(map[string]*endpointState),
		interfaces: make(map[string][]string), groups: make(map[string]*group),
		dirtyRules: make(map[chainKey]struct{}), dirtyGroups: make(map[*group]struct{}),
		problems: make(map[string]string), refused: make(map[string]refused),
		dirtyBase: true, rules: newRuleset(),
	}
	p.addInterfaceSets()
	p.done.Add(1)
	go func() {
		defer p.done.Done()
		if err := watch.Run(nftnl.Inet, table, p.noteDamage); err != nil {
			p.noteDamage(err.Error())
		}
	}()
	return p, nil
}

// maxSockets bounds how many sockets read at once; more gain little, and a node's processors are the workloads'.
const maxSockets = 4

func openReaders(nsfd int) ([]*nftnl.Conn, error) {
	var readers []*nftnl.Conn
	for range min(maxSockets, runtime.GOMAXPROCS(0)) - 1 {
		conn, err := nftnl.Open(nsfd)
		if err != nil {
			return nil, errors.Join(err, closeAll(readers))
		}
		readers = append(readers, conn)
	}
	return readers, nil
}

func closeAll(conns []*nftnl.Conn) (err error) {
	for _, c := range conns {
		err = errors.Join(err, c.Close())
	}
	return err
}

func (p *Plane) addInterfaceSets() {
	rows := func(name string, verdicts bool) *set {
		return p.rules.addSet(nftnl.Set{Name: name, Key: nftnl.TypeIFName, Verdicts: verdicts}, kindRows)
	}
	p.workloads, p.from, p.to = rows(setWorkloads, false), rows(setFrom, true), rows(setTo, true)
	for i, addr := range []nftnl.KeyType{nftnl.TypeIPv4, nftnl.TypeIPv6} {
		name := [...]string{setSpoof4, setSpoof6}[i]
		p.spoof[i] = p.rules.addSet(nftnl.Set{Name: name, Key: nftnl.Concat(nftnl.TypeIFName, addr), Interval: true}, kindRows)
	}
}

// Close releases the sockets. The table stays: a node without its agent keeps its policy.
func (p *Plane) Close() error {
	err := errors.Join(p.watch.Close(), closeAll(p.readers), p.conn.Close())
	p.done.Wait()
	return err
}

// noteDamage never blocks: one word that is waiting stands for all.
func (p *Plane) noteDamage(what string) {
	select {
	case p.damage <- what:
	default:
	}
}

// Name implements plane.Plane.
func (p *Plane) Name() string { return "nft" }

// Damage implements plane.Watcher.
func (p *Plane) Damage() <-chan string { return p.damage }

// Apply implements plane.Plane. All changes are one transaction.
func (p *Plane) Apply(ctx context.Context, changes []intent.KernelChange, whole bool) error {
	for _, c := range changes {
		p.take(c)
	}
	p.render()
	if err := ctx.Err(); err != nil {
		return err
	}
	if !p.synced {
		if err := p.Sync(ctx); err != nil {
			return err
		}
	}
	return p.commit(ctx, whole, len(changes) == 0)
}

// render makes the chains that the changes concern anew.
func (p *Plane) render() {
	if p.dirtyBase {
		p.renderBase()
		p.dirtyBase = false
	}
	for g := range p.dirtyGroups {
		p.renderGroup(g)
	}
	clear(p.dirtyGroups)
	for key := range p.dirtyRules {
		p.renderRules(key)
	}
	clear(p.dirtyRules)
	p.forgetOrphans()
}

// CloseFirst makes the table, if it is missing, with no more than the drop for workload interfaces that no endpoint has:
// all of them, until the first Apply. It may be called before the intent is known. A table that is there stays as it is.
func (p *Plane) CloseFirst(ctx context.Context, prefixes []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	state, err := p.conn.Table(nftnl.Inet, table)
	if err != nil || state.Exists && !state.Dormant {
		return err
	}
	p.host.InterfacePrefixes = prefixes
	p.renderClosing()
	p.dirtyBase = true
	if err := p.Sync(ctx); err != nil {
		return err
	}
	return p.commit(ctx, false, true)
}

// Status implements plane.Plane.
func (p *Plane) Status() plane.Status {
	s := plane.Status{
		Objects:  p.rules.chains.Len() + p.rules.shapes.Len() + p.rules.elements,
		Pending:  p.rules.pending(),
		Failures: make(map[string]string, len(p.problems)+len(p.refused)),
		Repairs:  p.repairs,
	}
	s.Writes, s.Bytes = p.conn.Written()
	for k, v := range p.problems {
		s.Failures[k] = v
	}
	for k, r := range p.refused {
		s.Failures[k] = r.why.Error()
	}
	return s
}
