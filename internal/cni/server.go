package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/tortie-net/tortie/internal/kernel"
)

// Limits of the socket and of what one command may take (design §6).
const (
	maxWaiting   = 64
	readTimeout  = 5 * time.Second
	writeTimeout = 5 * time.Second
	addTimeout   = 30 * time.Second // policySetupTimeout; undoing a failed ADD is within it
	delTimeout   = 5 * time.Second
	checkTimeout = 5 * time.Second
	undoTimeout  = 5 * time.Second // of addTimeout: a sixth, also of a limit that the configuration sets
	spoolEvery   = 5 * time.Second
)

// Options of a server.
type Options struct {
	Socket    string // path; its folder is made with 0700
	Node      string // name, for the attributes of addresses
	Journal   *Journal
	Allocator Allocator
	Waiter    Waiter
	Namespace *kernel.Namespace  // where host sides go; nil: the process's own
	Log       *slog.Logger       // nil: none
	Crash     func(point string) // tests only: called before each write to kernel or store
}

// Server answers tortie-cni.
type Server struct {
	o        Options
	host     *kernel.Handle
	listener *net.UnixListener
	slots    chan struct{}
	refusals chan struct{} // answers to those that found no slot
	locks    keyLocks

	mu       sync.Mutex
	underway map[attachment]context.CancelFunc // ADDs: a DEL of the same attachment ends them
}

// NewServer opens the socket; nothing is answered before Serve.
func NewServer(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	if err := os.MkdirAll(filepath.Dir(o.Socket), 0o700); err != nil {
		return nil, fmt.Errorf("cni socket: %w", err)
	}
	host, err := kernel.Open(o.Namespace)
	if err != nil {
		return nil, fmt.Errorf("cni: %w", err)
	}
	l, err := listen(o.Socket)
	if err != nil {
		host.Close()
		return nil, err
	}
	return &Server{
		o: o, host: host, listener: l, slots: make(chan struct{}, maxWaiting), refusals: make(chan struct{}, maxWaiting),
		locks: keyLocks{held: map[string]*keyLock{}}, underway: map[attachment]context.CancelFunc{},
	}, nil
}

func (s *Server) crash(point string) { s.o.Crash(point) }

// Serve undoes what an earlier run left half done, works off the spool, and answers requests until ctx ends; then it
// lets those under way finish or give up, and returns nil.
func (s *Server) Serve(ctx context.Context) error {
	for _, err := range s.o.Journal.Problems() {
		s.o.Log.Warn("journal file not usable", "error", err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		s.recover(ctx)
		s.drain(ctx)
	})
	stop := context.AfterFunc(ctx, func() { _ = s.listener.Close() })
	defer stop()
	var failed error
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				failed = fmt.Errorf("cni socket: %w", err)
			}
			break
		}
		select {
		case s.slots <- struct{}{}:
			running.Go(func() {
				defer func() { <-s.slots }()
				defer func() { _ = conn.Close() }()
				s.serve(ctx, conn)
			})
		default:
			select {
			case s.refusals <- struct{}{}:
				running.Go(func() {
					defer func() { <-s.refusals }()
					s.refuse(conn, types.NewError(types.ErrTryAgainLater, fmt.Sprintf("%d requests are waiting already", maxWaiting), ""))
					_ = conn.Close()
				})
			default:
				_ = conn.Close()
			}
		}
	}
	running.Wait()
	s.host.Close()
	return failed
}

// Close is for a server that Serve was never called on.
func (s *Server) Close() error {
	s.host.Close()
	return s.listener.Close()
}

func (s *Server) serve(ctx context.Context, conn *net.UnixConn) {
	if err := checkPeer(conn); err != nil {
		s.o.Log.Warn("cni request refused", "error", err)
		s.refuse(conn, types.NewError(types.ErrInternal, err.Error(), ""))
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(readTimeout))
	raw, ns, err := readRequest(conn)
	if ns != nil {
		defer func() { _ = ns.Close() }()
	}
	if err != nil {
		s.o.Log.Warn("cni request malformed", "error", err)
		s.refuse(conn, types.NewError(types.ErrDecodingFailure, err.Error(), ""))
		return
	}
	start := time.Now()
	result, err := s.handle(ctx, raw, ns)
	if err != nil {
		s.o.Log.Warn("cni request failed", "command", raw.Command, "container", raw.ContainerID, "interface", raw.IfName, "after", time.Since(start), "error", err)
	} else {
		s.o.Log.Info("cni request done", "command", raw.Command, "container", raw.ContainerID, "interface", raw.IfName, "after", time.Since(start))
	}
	s.crash("answer")
	s.answer(conn, raw.Version, result, err)
}

func (s *Server) answer(conn *net.UnixConn, version int, result json.RawMessage, err error) {
	r := SocketResponse{Version: version, Result: result, Error: socketError(err)}
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err := writeResponse(conn, r); err != nil {
		s.o.Log.Warn("cni answer not delivered", "error", err)
	}
}

// refuse answers a request that was not read to its end: closing at once would take the answer back.
func (s *Server) refuse(conn *net.UnixConn, err error) {
	s.answer(conn, ProtocolVersion, nil, err)
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, MaxRequest))
}

// socketError gives every error a CNI code: those of this package have one; what ran out of time or cannot be done now
// is "try again later".
func socketError(err error) *SocketError {
	if err == nil {
		return nil
	}
	var coded *types.Error
	if errors.As(err, &coded) {
		return &SocketError{Code: coded.Code, Msg: coded.Msg, Details: coded.Details}
	}
	return &SocketError{Code: types.ErrTryAgainLater, Msg: err.Error()}
}

// request is one command, parsed.
type request struct {
	server *Server
	raw    SocketRequest
	conf   *netConf
	args   cniArgs
	netns  *kernel.Namespace // nil: none came

	asked bool // the allocator was asked for addresses: it may hold some, whatever it answered
	owed  bool // a DEL that was still to be done gave way to this ADD: the handle may hold what that one left
}

func (r *request) ipamOnly() bool {
	return len(r.raw.Command) > len(ipamPrefix) && r.raw.Command[:len(ipamPrefix)] == ipamPrefix
}

func (r *request) handle() string { return r.conf.Name + "." + r.raw.ContainerID }

func (r *request) attachment() attachment { return attachment{r.raw.ContainerID, r.raw.IfName} }

// parse checks everything that needs no kernel and no store.
func (s *Server) parse(raw SocketRequest, ns *kernel.Namespace) (*request, error) {
	conf, err := parseConf(raw.Config)
	if err != nil {
		return nil, err
	}
	r := &request{server: s, raw: raw, conf: conf, netns: ns}
	switch raw.Command {
	case "GC", "STATUS", ipamPrefix + "GC", ipamPrefix + "STATUS":
		return r, nil
	}
	if err := validAttachment(raw.ContainerID, raw.IfName); err != nil {
		return nil, err
	}
	r.args, err = parseArgs(raw.Args)
	return r, err
}

// handle serves one command.
func (s *Server) handle(ctx context.Context, raw SocketRequest, ns *kernel.Namespace) (json.RawMessage, error) {
	r, err := s.parse(raw, ns)
	if err != nil {
		return nil, err
	}
	within := func(limit time.Duration, fn func(context.Context) error) error {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v", limit))
		defer cancel()
		return fn(ctx)
	}
	switch raw.Command {
	case "ADD":
		return r.add(ctx)
	case "DEL":
		return nil, within(delTimeout, r.del)
	case "CHECK":
		return nil, within(checkTimeout, r.check)
	case "GC", ipamPrefix + "GC":
		return nil, within(addTimeout, r.gc)
	case "STATUS", ipamPrefix + "STATUS":
		return nil, r.status()
	case ipamPrefix + "ADD":
		return r.ipamAdd(ctx)
	case ipamPrefix + "DEL":
		return nil, within(delTimeout, r.ipamDel)
	case ipamPrefix + "CHECK":
		return nil, r.ipamCheck()
	}
	return nil, types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf("command %q", raw.Command), "must be ADD, DEL, CHECK, GC or STATUS")
}

// status implements STATUS: whether an ADD could be served.
func (r *request) status() error {
	if err := r.server.o.Waiter.Ready(); err != nil {
		return types.NewError(types.ErrPluginNotAvailable, "the node's agent cannot serve ADD now", err.Error())
	}
	return nil
}

// keyLocks is a lock for each key, that can be waited for with a context.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

type keyLock struct {
	users int
	token chan struct{}
}

// lock waits for a key and returns what unlocks it.
func (k *keyLocks) lock(ctx context.Context, key string) (func(), error) {
	k.mu.Lock()
	l := k.held[key]
	if l == nil {
		l = &keyLock{token: make(chan struct{}, 1)}
		k.held[key] = l
	}
	l.users++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.held, key)
		}
	}
	select {
	case l.token <- struct{}{}:
		return func() { <-l.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("another command for %s is under way: %w", key, context.Cause(ctx))
	}
}
