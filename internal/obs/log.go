package obs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// The attribute keys of log lines.
const (
	KeyObject = "object" // the stored object, route, interface … that a line is about
	KeyError  = "err"
	KeyNode   = "node"
)

// NewLog returns a logger of one line per event to w. The level can be changed live. At most 10 lines per second are
// written for each object (each message, where a line names no object); what was left out is counted in the next one.
func NewLog(w io.Writer, level *slog.LevelVar) *slog.Logger {
	return slog.New(&limiter{next: slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}), state: &limits{seen: map[string]*window{}}})
}

// ParseLevel reads a severity as Calico's settings name them.
func ParseLevel(text string) (slog.Level, error) {
	switch strings.ToLower(text) {
	case "trace", "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warning", "warn":
		return slog.LevelWarn, nil
	case "error", "fatal":
		return slog.LevelError, nil
	}
	return slog.LevelInfo, fmt.Errorf("log level %q: allowed are Trace, Debug, Info, Warning, Error, Fatal", text)
}

const (
	linesPerSecond = 10
	maxObjects     = 4096 // beyond it the counts start anew, so that memory stays bounded
)

type window struct {
	start time.Time
	lines int
}

type limits struct {
	mu   sync.Mutex
	seen map[string]*window
}

// allow tells whether a line about an object may be written at a time, and how many were not in the window before.
func (l *limits) allow(object string, now time.Time) (ok bool, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.seen) > maxObjects {
		clear(l.seen)
	}
	w := l.seen[object]
	if w == nil {
		w = &window{start: now}
		l.seen[object] = w
	}
	if now.Sub(w.start) >= time.Second {
		dropped = max(0, w.lines-linesPerSecond)
		w.start, w.lines = now, 0
	}
	w.lines++
	return w.lines <= linesPerSecond, dropped
}

// limiter is a slog.Handler that passes at most linesPerSecond lines per object on.
type limiter struct {
	next   slog.Handler
	state  *limits
	object string // from WithAttrs
}

func (h *limiter) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *limiter) Handle(ctx context.Context, r slog.Record) error {
	object := h.object
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == KeyObject {
			object = a.Value.String()
			return false
		}
		return true
	})
	ok, dropped := h.state.allow(r.Message+"\x00"+object, r.Time)
	if !ok {
		return nil
	}
	if dropped > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("leftOut", dropped))
	}
	return h.next.Handle(ctx, r)
}

func (h *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	for _, a := range attrs {
		if a.Key == KeyObject {
			c.object = a.Value.String()
		}
	}
	c.next = h.next.WithAttrs(attrs)
	return &c
}

func (h *limiter) WithGroup(name string) slog.Handler {
	c := *h
	c.next = h.next.WithGroup(name)
	return &c
}
