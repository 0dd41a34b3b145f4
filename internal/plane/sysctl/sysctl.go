package sysctl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/plane"
)

// The kernel tells nobody when a setting changes, so the plane looks: at each setting once in pollEvery, at a part of
// them in each of pollParts, so that a node with many workloads never waits for a look at all of them.
const (
	pollEvery = time.Second
	pollParts = 8
)

// Options of a plane.
type Options struct {
	Root      string            // empty: /proc/sys
	Namespace *kernel.Namespace // nil: the process's own; settings outside net/ are the machine's anyway
	Poll      time.Duration     // time in which each setting is looked at once; 0: one second
}

// Plane keeps kernel settings at their values. It owns exactly those that the intent names, and leaves one alone that
// the intent no longer names: what it was before is not known to be better.
type Plane struct {
	files  kernel.Sysctls
	damage chan string
	stop   context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex // guards what the poll uses, down to told
	reader  *kernel.SysctlReader
	desired map[string]*intent.Sysctl
	order   []string          // paths of desired, sorted; nil: to be made anew
	looked  string            // at which the poll looked last
	held    map[string]string // as last read or written
	told    map[string]bool   // damage announced and not yet repaired

	dirty   map[string]bool
	failed  map[string]string
	repairs plane.Repairs[string]
	status  plane.Status
}

var (
	_ plane.Plane   = (*Plane)(nil)
	_ plane.Watcher = (*Plane)(nil)
)

// New makes the plane and begins to poll. Close ends it.
func New(o Options) *Plane {
	if o.Poll == 0 {
		o.Poll = pollEvery
	}
	ctx, stop := context.WithCancel(context.Background())
	files := kernel.Sysctls{Root: o.Root, Namespace: o.Namespace}
	p := &Plane{
		files: files, reader: files.Reader(), damage: make(chan string, 16), stop: stop,
		desired: map[string]*intent.Sysctl{}, held: map[string]string{}, told: map[string]bool{},
		dirty: map[string]bool{}, failed: map[string]string{},
	}
	p.ended.Go(func() { p.poll(ctx, o.Poll) })
	return p
}

// Close stops polling.
func (p *Plane) Close() error {
	p.stop()
	p.ended.Wait()
	p.reader.Close()
	return nil
}

// Name implements plane.Plane.
func (p *Plane) Name() string { return "sysctl" }

// Damage implements plane.Watcher.
func (p *Plane) Damage() <-chan string { return p.damage }

// Sync implements plane.Plane.
func (p *Plane) Sync(context.Context) error {
	for path := range p.desired {
		p.dirty[path] = true
	}
	return nil
}

// Apply implements plane.Plane. A setting that cannot be made does not stop the others: it is in Status, and tried
// again at each Apply.
func (p *Plane) Apply(_ context.Context, changes []intent.KernelChange, _ bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		if c.Ref.Kind != intent.KindSysctl {
			continue
		}
		s, ok := c.Object.(*intent.Sysctl)
		p.forget(c.Ref.ID)
		if ok && s != nil {
			p.desired[c.Ref.ID] = s
			p.order = nil
			p.dirty[c.Ref.ID] = true
		}
	}
	paths := slices.Sorted(maps.Keys(p.dirty))
	now := make(map[string]string, len(paths))
	p.reader.Each(paths, func(path string, value []byte) { now[path] = string(value) })
	for _, path := range paths {
		p.move(p.desired[path], now)
	}
	return nil
}

func (p *Plane) forget(path string) {
	if p.desired[path] != nil {
		p.order = nil
	}
	p.reader.Forget(path)
	delete(p.desired, path)
	delete(p.held, path)
	delete(p.told, path)
	delete(p.dirty, path)
	delete(p.failed, path)
	p.repairs.Forget(path)
}

func (p *Plane) move(s *intent.Sysctl, now map[string]string) {
	have, exists := now[s.Path]
	switch {
	case !exists && s.Optional:
		p.settle(s)
		delete(p.held, s.Path)
		return
	case exists && same(have, s.Value):
		p.settle(s)
		return
	}
	if exists && p.held[s.Path] != "" && p.damaged(s.Path) {
		return
	}
	err := p.files.Write(s.Path, s.Value)
	p.status.Writes++
	p.status.Bytes += uint64(len(s.Value))
	if err == nil {
		// Some settings accept a write and keep their own value.
		if have, err = p.files.Read(s.Path); err == nil && !same(have, s.Value) {
			err = fmt.Errorf("sysctl %s: the kernel took %q and still says %q", s.Path, s.Value, have)
		}
	}
	if errors.Is(err, os.ErrNotExist) && s.Optional {
		p.settle(s)
		delete(p.held, s.Path)
		return
	}
	if err != nil {
		p.failed[s.Path] = err.Error()
		return
	}
	p.settle(s)
}

func (p *Plane) settle(s *intent.Sysctl) {
	p.held[s.Path] = s.Value
	delete(p.told, s.Path)
	delete(p.dirty, s.Path)
	delete(p.failed, s.Path)
}

// damaged counts a repair. True: this one must wait.
func (p *Plane) damaged(path string) bool {
	if wait, times := p.repairs.Now(path, time.Now()); wait > 0 {
		p.failed[path] = fmt.Sprintf("sysctl %s: somebody else changed it %d times within %v; repaired again in %v at most, look at /etc/sysctl.d and who runs sysctl", path, times, plane.RepairWindow, plane.RepairHoldOff)
		return true
	}
	p.status.Repairs++
	return false
}

// same compares as the kernel shows values: several are separated by tabs.
func same(a, b string) bool { return a == b || slices.Equal(strings.Fields(a), strings.Fields(b)) }

// Status implements plane.Plane.
func (p *Plane) Status() plane.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Objects, s.Pending, s.Failures = len(p.desired), len(p.dirty), maps.Clone(p.failed)
	return s
}

// poll announces each damaged setting once, and once more after the hold-off of one that was put off.
func (p *Plane) poll(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(max(every/pollParts, 1))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, path := range p.look() {
			select {
			case p.damage <- fmt.Sprintf("sysctl %s was changed", path):
			default: // a word is waiting to be read; it leads to the same comparison
			}
		}
	}
}

// part is what is to be looked at now. The order is that of the paths, so that a change of the intent moves nobody's
// turn by much.
func (p *Plane) part() []string {
	if p.order == nil {
		p.order = slices.Sorted(maps.Keys(p.desired))
	}
	from, found := slices.BinarySearch(p.order, p.looked)
	if found {
		from++
	}
	if from == len(p.order) {
		from = 0
	}
	paths := p.order[from:min(from+(len(p.order)+pollParts-1)/pollParts, len(p.order))]
	if len(paths) > 0 {
		p.looked = paths[len(paths)-1]
	}
	return paths
}

func (p *Plane) look() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var changed []string
	p.reader.Each(p.part(), func(path string, value []byte) {
		want := p.desired[path].Value
		if string(value) == want || same(string(value), want) {
			return
		}
		last := p.repairs.Last(path)
		if p.told[path] && p.failed[path] != "" && !last.IsZero() && time.Since(last) >= plane.RepairHoldOff {
			delete(p.told, path)
		}
		if !p.told[path] {
			p.told[path] = true
			changed = append(changed, path)
		}
	})
	slices.Sort(changed)
	return changed
}
