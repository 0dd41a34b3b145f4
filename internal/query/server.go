package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// Group is the Unix group whose members may ask.
const Group = "tortie"

type peerKey struct{}

// Listen makes the query socket: mode 0660, group tortie where the host has that group, else 0600. A socket that nobody
// serves any more is replaced.
func Listen(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("query socket %s: another agent serves it", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("query socket: %w", err)
	}
	old := syscall.Umask(0o177) // nobody else may connect between bind and chmod
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("query socket: %w", err)
	}
	if g, err := user.LookupGroup(Group); err == nil {
		if gid, err := strconv.Atoi(g.Gid); err == nil && os.Chown(path, -1, gid) == nil {
			if err := os.Chmod(path, 0o660); err != nil {
				l.Close()
				return nil, fmt.Errorf("query socket: %w", err)
			}
		}
	}
	return l, nil
}

// Serve answers until ctx ends. Profiles are for uid 0 only.
func Serve(ctx context.Context, l net.Listener, src Source, metrics http.Handler) error {
	mux := http.NewServeMux()
	get := func(path string, f func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(f()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	get("/v1/status", func() any { return src.Status() })
	get("/v1/endpoints", func() any { return src.Endpoints() })
	get("/v1/routes", func() any { return src.Routes() })
	get("/v1/counters", func() any { return src.Counters() })
	mux.Handle("GET /metrics", metrics)
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/profile": pprof.Profile, "/debug/pprof/trace": pprof.Trace,
		"/debug/pprof/symbol": pprof.Symbol,
	} {
		mux.HandleFunc("GET "+path, rootOnly(h))
	}
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peerUID(c))
		},
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("query socket: %w", err)
	}
	return nil
}

func rootOnly(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if uid, ok := r.Context().Value(peerKey{}).(int); !ok || uid != 0 {
			http.Error(w, "profiles are for uid 0", http.StatusForbidden)
			return
		}
		h(w, r)
	}
}

// peerUID is the user at the other end of a Unix socket, -1 when unknown.
func peerUID(c net.Conn) int {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return -1
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	if err := raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	}); err != nil {
		return -1
	}
	return uid
}

// Client asks a node over its query socket.
type Client struct{ http http.Client }

// NewClient returns a client of the socket at path; no connection is made yet.
func NewClient(path string) *Client {
	return &Client{http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}},
	}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks for the node's status.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "status", &s)
}

// Endpoints asks for the node's workloads.
func (c *Client) Endpoints(ctx context.Context) (e []Endpoint, err error) {
	return e, c.get(ctx, "endpoints", &e)
}

// Routes asks for the node's routes.
func (c *Client) Routes(ctx context.Context) (r []Route, err error) {
	return r, c.get(ctx, "routes", &r)
}

// Counters asks for the node's rule counters.
func (c *Client) Counters(ctx context.Context) (n []Counter, err error) {
	return n, c.get(ctx, "counters", &n)
}

func (c *Client) get(ctx context.Context, what string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/v1/"+what, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the agent for %s: %w", what, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("ask the agent for %s: %s: %s", what, resp.Status, text)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("ask the agent for %s: %w", what, err)
	}
	return nil
}
