package cni

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/tortie-net/tortie/internal/kernel"
)

// del implements DEL: it may be repeated, come for what never was, or come late, for a container whose workload has a
// new one. When the store is away the rest is done later and DEL succeeds: a pod's end must not wait for it.
func (r *request) del(ctx context.Context) error {
	s := r.server
	s.mu.Lock()
	if cancel := s.underway[r.attachment()]; cancel != nil {
		cancel()
	}
	s.mu.Unlock()
	e, known := s.o.Journal.get(r.attachment())
	if !known || e.State == stateIPAM {
		e = r.entry() // the journal may have been lost: the handle is known all the same
	}
	unlock, err := s.locks.lock(ctx, e.Binding.Interface)
	if err != nil {
		return tryAgain("DEL", err)
	}
	defer unlock()
	if again, ok := s.o.Journal.get(r.attachment()); ok && again.State != stateIPAM {
		e = again // an ADD may have ended in between
	}
	return s.remove(ctx, e, r.raw, r.netns)
}

// remove takes an attachment away: binding, then interface, then addresses, then the journal's entry. What the planes
// or the store cannot do now goes to the spool.
func (s *Server) remove(ctx context.Context, e entry, raw SocketRequest, netns *kernel.Namespace) error {
	b := e.Binding
	s.crash("unbind")
	later := s.o.Waiter.Unbind(ctx, b.Workload, b.ContainerID)
	if later != nil {
		later = fmt.Errorf("take back the binding: %w", later)
	}
	if err := s.removeLink(e, netns); err != nil {
		return tryAgain("DEL", err)
	}
	if later == nil && e.Handle != "" {
		s.crash("ipam.release")
		if err := s.o.Allocator.Release(ctx, e.Handle, b.Workload, b.ContainerID); err != nil {
			later = fmt.Errorf("release addresses of %s: %w", e.Handle, err)
		}
	}
	if later != nil {
		raw.Command, raw.ContainerID, raw.IfName, raw.Version = "DEL", b.ContainerID, b.IfName, ProtocolVersion
		raw.Args = argsOf(e)
		if err := s.o.Journal.queue(raw); err != nil {
			return types.NewError(types.ErrIOFailure, err.Error(), later.Error())
		}
		s.o.Log.Warn("DEL is finished later", "container", b.ContainerID, "interface", b.IfName, "error", later)
	}
	return s.o.Journal.drop(e.attachment())
}

// removeLink deletes the pair: from the workload's side where its namespace is given, which can only be this
// container's, and from the host's unless a newer container has that interface.
func (s *Server) removeLink(e entry, netns *kernel.Namespace) error {
	if netns != nil {
		h, err := kernel.Open(netns)
		if err != nil {
			return err
		}
		defer h.Close()
		s.crash("link.delete-inside")
		if err := s.removeInside(h, e); err != nil {
			return err
		}
	}
	if _, known := s.o.Journal.get(e.attachment()); !known || s.o.Journal.shared(e) {
		return nil
	}
	s.crash("link.delete")
	return s.host.DeleteLink(e.Binding.Interface)
}

// removeInside deletes the workload's interface, but only one that this package can have made.
func (s *Server) removeInside(h *kernel.Handle, e entry) error {
	l, err := h.Link(e.Binding.IfName)
	if errors.Is(err, kernel.ErrNoLink) {
		return nil
	}
	if err != nil {
		return err
	}
	if l.Type != "veth" || e.Binding.MAC != "" && l.MAC != e.Binding.MAC {
		return nil
	}
	return h.DeleteLink(e.Binding.IfName)
}

// undo takes back what a failed ADD left, until then or for undoTimeout, whichever is sooner.
func (s *Server) undo(ctx context.Context, until time.Time, e entry, raw SocketRequest, netns *kernel.Namespace) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(undoTimeout, time.Until(until)))
	defer cancel()
	return s.remove(ctx, e, raw, netns)
}

// gc implements GC: every attachment of this network that the runtime does not name goes.
func (r *request) gc(ctx context.Context) error {
	valid := map[attachment]bool{}
	for _, a := range r.conf.ValidAttachments {
		valid[attachment{a.ContainerID, a.IfName}] = true
	}
	var failed error
	for _, e := range r.server.o.Journal.list(func(e entry) bool {
		return e.Binding.Network == r.conf.Name && !valid[e.attachment()] && (e.State == stateIPAM) == r.ipamOnly()
	}) {
		failed = errors.Join(failed, r.server.collect(ctx, e, r.raw))
	}
	if failed != nil {
		return tryAgain("GC", failed)
	}
	return nil
}

func (s *Server) collect(ctx context.Context, e entry, raw SocketRequest) error {
	unlock, err := s.locks.lock(ctx, e.Binding.Interface)
	if err != nil {
		return err
	}
	defer unlock()
	now, ok := s.o.Journal.get(e.attachment())
	if !ok || now.Seq != e.Seq {
		return nil // somebody else was here
	}
	if e.State == stateIPAM {
		return s.release(ctx, e, raw)
	}
	return s.remove(ctx, now, raw, nil)
}

// recover undoes the ADDs that a crash cut short. Their containers got an error when the connection broke.
func (s *Server) recover(ctx context.Context) {
	for _, e := range s.o.Journal.list(func(e entry) bool { return e.State == stateBegun }) {
		if err := s.recoverOne(ctx, e); err != nil {
			s.o.Log.Error("an ADD that was cut short cannot be undone", "container", e.Binding.ContainerID, "error", err)
		}
	}
}

func (s *Server) recoverOne(ctx context.Context, e entry) error {
	unlock, err := s.locks.lock(ctx, e.Binding.Interface)
	if err != nil {
		return err
	}
	defer unlock()
	if now, ok := s.o.Journal.get(e.attachment()); !ok || now.Seq != e.Seq || now.State != stateBegun {
		return nil // the runtime came first
	}
	conf := fmt.Appendf(nil, `{"cniVersion":%q,"name":%q,"ipam":{"type":"tortie-ipam"}}`, resultVersion, e.Binding.Network)
	return s.undo(ctx, time.Now().Add(undoTimeout), e, SocketRequest{Config: conf}, nil)
}

// argsOf is the CNI_ARGS that name the workload.
func argsOf(e entry) string {
	if e.Binding.Workload.Orchestrator != "k8s" {
		return ""
	}
	return "K8S_POD_NAMESPACE=" + e.Binding.Workload.Namespace + ";K8S_POD_NAME=" + e.Binding.Workload.Workload
}

// drain works the spool off, now and then.
func (s *Server) drain(ctx context.Context) {
	tick := time.NewTicker(spoolEvery)
	defer tick.Stop()
	for {
		s.drainOnce(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) drainOnce(ctx context.Context) {
	paths, err := s.o.Journal.queued()
	if err != nil {
		s.o.Log.Error("spool not readable", "error", err)
		return
	}
	for _, path := range paths {
		if ctx.Err() != nil {
			return
		}
		raw, err := s.o.Journal.readQueued(path)
		if err != nil {
			s.o.Log.Warn("spooled DEL not usable", "error", err)
			continue
		}
		if err := s.redo(ctx, path, raw); err != nil {
			s.o.Log.Warn("spooled DEL is tried again", "container", raw.ContainerID, "error", err)
		}
	}
}

// redo does a spooled DEL without ever queueing it again: it is still in the spool.
func (s *Server) redo(ctx context.Context, path string, raw SocketRequest) error {
	ctx, cancel := context.WithTimeout(ctx, delTimeout)
	defer cancel()
	r, err := s.parse(raw, nil)
	if err != nil {
		return err
	}
	a := r.attachment()
	e, known := s.o.Journal.get(a)
	if !known || (e.State == stateIPAM) != r.ipamOnly() {
		known, e = false, r.entry()
	}
	unlock, err := s.locks.lock(ctx, e.Binding.Interface)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // a new ADD took its place
	}
	if !r.ipamOnly() {
		s.crash("unbind")
		if err := s.o.Waiter.Unbind(ctx, e.Binding.Workload, a.containerID); err != nil {
			return err
		}
		if err := s.removeLink(e, nil); err != nil {
			return err
		}
	}
	s.crash("ipam.release")
	if err := s.o.Allocator.Release(ctx, r.handle(), e.Binding.Workload, a.containerID); err != nil {
		return err
	}
	if known {
		if err := s.o.Journal.drop(a); err != nil {
			return err
		}
	}
	_, err = s.o.Journal.unqueue(path)
	return err
}
