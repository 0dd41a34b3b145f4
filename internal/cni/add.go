package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
)

// add implements ADD. The order is what makes it safe at every moment: the journal knows of the attempt before
// anything exists; nothing is wired before the workload is in the intent; the answer comes after every plane has the
// binding. Whatever fails is undone; after a crash the journal says what to undo.
func (r *request) add(ctx context.Context) (json.RawMessage, error) {
	s := r.server
	if r.netns == nil {
		return nil, types.NewError(types.ErrInvalidNetNS, "ADD needs CNI_NETNS", "")
	}
	limit := addTimeout
	if r.conf.PolicyTimeout > 0 {
		limit = time.Duration(r.conf.PolicyTimeout) * time.Second
	}
	until := time.Now().Add(limit)
	limit -= undoTime(limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v (policySetupTimeout, less what undoing takes)", limit))
	defer cancel()
	if err := s.o.Waiter.Ready(); err != nil {
		return nil, types.NewError(types.ErrTryAgainLater, "the node's agent cannot serve ADD now", err.Error())
	}
	e := r.entry()
	unlock, err := s.locks.lock(ctx, e.Binding.Interface)
	if err != nil {
		return nil, tryAgain("ADD", err)
	}
	defer unlock()
	defer s.announce(e.attachment(), cancel)()

	if old, ok := s.o.Journal.get(e.attachment()); ok {
		if old.State == stateBound && old.NetnsID == e.NetnsID && s.intact(old, r.netns) == nil {
			return convertResult(old.Result, r.conf.CNIVersion)
		}
		if err := s.remove(ctx, old, r.raw, r.netns); err != nil {
			return nil, tryAgain("undo an earlier ADD of the same container", err)
		}
	}
	// A DEL of an earlier attempt that is still to be finished must not take this one away. What its handle holds is
	// released with this attempt's addresses.
	if r.owed, err = s.o.Journal.unqueue(s.o.Journal.spoolPath(r.raw)); err != nil {
		return nil, types.NewError(types.ErrIOFailure, err.Error(), "")
	}
	if err := s.o.Journal.put(&e); err != nil {
		return nil, types.NewError(types.ErrIOFailure, err.Error(), "")
	}
	result, err := r.build(ctx, &e)
	if err == nil {
		return result, nil
	}
	if !r.asked && !r.owed {
		e.Handle = "" // the store has nothing of it and may be away: it must not be waited for
	}
	if undo := s.undo(ctx, until, e, r.raw, r.netns); undo != nil {
		err = errors.Join(err, fmt.Errorf("undoing it: %w", undo))
	}
	var coded *types.Error
	if errors.As(err, &coded) {
		return nil, coded
	}
	return nil, tryAgain("ADD", withCause(ctx, err))
}

// undoTime is the part of an ADD's limit that is kept for undoing it.
func undoTime(limit time.Duration) time.Duration { return min(undoTimeout, limit/6) }

func tryAgain(what string, err error) error {
	return types.NewError(types.ErrTryAgainLater, what+": "+err.Error(), "")
}

// withCause says why the context ended, where that is what went wrong.
func withCause(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	return err
}

// entry is what the journal says before anything is done.
func (r *request) entry() entry {
	id := r.args.workload(r.raw.ContainerID, r.raw.IfName)
	prefix := "cali"
	if c := r.server.o.Waiter.Config(); c != nil && len(c.InterfacePrefixes) > 0 {
		prefix = c.InterfacePrefixes[0]
	}
	e := entry{State: stateBegun, Binding: Binding{
		Workload: id, UID: r.args.uid, ContainerID: r.raw.ContainerID, Network: r.conf.Name,
		IfName: r.raw.IfName, Interface: hostInterface(prefix, id),
	}}
	// A workload that only CNI knows of has a stored object to be released even if its addresses are not ours.
	if r.conf.IPAM.own() || r.args.pod == "" {
		e.Handle = r.handle()
	}
	if r.netns != nil {
		e.NetnsID[0], e.NetnsID[1] = r.netns.ID()
	}
	return e
}

// announce lets a DEL of the same attachment end this ADD. The returned function takes it back.
func (s *Server) announce(a attachment, cancel context.CancelFunc) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway[a] = cancel
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.underway, a)
	}
}

// build does the work; whoever calls it undoes what is left of a failure.
func (r *request) build(ctx context.Context, e *entry) (json.RawMessage, error) {
	s := r.server
	ep, err := r.endpoint(ctx, e)
	if err != nil {
		return nil, err
	}
	if e.Binding.MAC, err = r.mac(ep); err != nil {
		return nil, err
	}
	from, err := r.addressing(ep)
	if err != nil {
		return nil, err
	}
	if ep == nil {
		r.endow(&from, e)
	}
	if e.Binding.Addresses, err = r.assign(ctx, from); err != nil {
		return nil, fmt.Errorf("assign addresses: %w", err)
	}
	slices.SortFunc(e.Binding.Addresses, netip.Addr.Compare)
	if len(e.Binding.Addresses) == 0 {
		return nil, badConf("no address was assigned")
	}
	if ep == nil {
		if _, err = s.o.Waiter.Workload(ctx, e.Binding.Workload, ""); err != nil {
			return nil, fmt.Errorf("wait for workload %v: %w", e.Binding.Workload, err)
		}
	}
	r.plan(e, from)
	if err := s.retire(ctx, *e); err != nil {
		return nil, err
	}
	if err := s.wire(*e, r.wiring(), r.netns); err != nil {
		return nil, err
	}
	s.crash("bind")
	if err := s.o.Waiter.Bind(ctx, e.Binding); err != nil {
		return nil, fmt.Errorf("wait for the policy of %v: %w", e.Binding.Workload, err)
	}
	if e.Result, err = r.result(*e); err != nil {
		return nil, err
	}
	e.State = stateBound
	if err := s.o.Journal.put(e); err != nil {
		return nil, err
	}
	return convertResult(e.Result, r.conf.CNIVersion)
}

// endpoint waits for a pod; a workload that only CNI knows of has no object yet: nil.
func (r *request) endpoint(ctx context.Context, e *entry) (*intent.Endpoint, error) {
	if r.args.pod == "" {
		return nil, nil
	}
	ep, err := r.server.o.Waiter.Workload(ctx, e.Binding.Workload, r.args.uid)
	if err != nil {
		return nil, fmt.Errorf("wait for pod %s/%s (UID %q): %w", r.args.namespace, r.args.pod, r.args.uid, err)
	}
	e.Binding.UID = r.uid(ep)
	return ep, nil
}

func (r *request) mac(ep *intent.Endpoint) (string, error) {
	if ep != nil && ep.Annotations[annotationPrefix+"hwAddr"] != "" {
		return parseMAC(ep.Annotations[annotationPrefix+"hwAddr"])
	}
	return newMAC()
}

// endow lets the allocator store the workload's object together with its addresses. Where the addresses are somebody
// else's, there is still the object to store.
func (r *request) endow(from *addressing, e *entry) {
	if from.request == nil {
		from.request = &AddressRequest{Handle: r.handle(), Attributes: r.attributes(nil)}
	}
	from.request.Endpoint = &NewEndpoint{
		Workload: e.Binding.Workload, ContainerID: e.Binding.ContainerID, Interface: e.Binding.Interface,
		MAC: e.Binding.MAC, Profiles: []string{r.conf.Name},
	}
}

// plan settles MTU and routes.
func (r *request) plan(e *entry, from addressing) {
	e.MTU = r.conf.MTU
	if c := r.server.o.Waiter.Config(); e.MTU == 0 && c != nil {
		e.MTU = c.MTU
	}
	e.Routes = slices.Clone(from.routes)
	if len(from.routes) > 0 && !r.conf.IncludeDefault {
		return
	}
	for _, p := range []netip.Prefix{defaultIPv4, defaultIPv6} {
		if !slices.Contains(e.Routes, p) && slices.ContainsFunc(e.Binding.Addresses, func(a netip.Addr) bool { return a.Is4() == p.Addr().Is4() }) {
			e.Routes = append(e.Routes, p)
		}
	}
}

// retire takes the place of an earlier container of the same workload: its binding goes and its interface. Its
// addresses stay its own until its DEL.
func (s *Server) retire(ctx context.Context, e entry) error {
	for _, old := range s.o.Journal.list(func(o entry) bool {
		return o.State == stateBound && o.Binding.Interface == e.Binding.Interface && o.attachment() != e.attachment()
	}) {
		if old.Binding.Workload != e.Binding.Workload {
			if _, err := s.host.Link(old.Binding.Interface); !errors.Is(err, kernel.ErrNoLink) {
				return badConf("interface %s is in use by workload %v: the names of both give the same interface", old.Binding.Interface, old.Binding.Workload)
			}
		}
		s.crash("retire")
		if err := s.o.Waiter.Unbind(ctx, old.Binding.Workload, old.Binding.ContainerID); err != nil {
			return fmt.Errorf("take back the binding of the earlier container %s: %w", old.Binding.ContainerID, err)
		}
	}
	s.crash("link.replace")
	return s.host.DeleteLink(e.Binding.Interface)
}
