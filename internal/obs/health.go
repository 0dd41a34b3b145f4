package obs

import (
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// Health collects what the parts of a process say of themselves. The zero value is ready for use; safe for concurrent use.
type Health struct {
	mu    sync.Mutex
	parts map[string]*part
}

type part struct {
	reason  string // why it is not ready; empty: ready
	beat    time.Time
	timeout time.Duration // it must report this often to be live; 0: it need not
}

// Ready says that a part is ready (reason empty), or why not. It is a sign of life too.
func (h *Health) Ready(name, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.part(name)
	p.reason, p.beat = reason, time.Now()
}

// Watch says that a part is dead when it does not call Ready or Beat for this long.
func (h *Health) Watch(name string, timeout time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.part(name)
	p.timeout, p.beat = timeout, time.Now()
}

// Beat is a sign of life.
func (h *Health) Beat(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.part(name).beat = time.Now()
}

func (h *Health) part(name string) *part {
	if h.parts == nil {
		h.parts = map[string]*part{}
	}
	p := h.parts[name]
	if p == nil {
		p = &part{}
		h.parts[name] = p
	}
	return p
}

// NotReady lists the parts that are not ready with their reasons, sorted; empty: all are.
func (h *Health) NotReady() []string {
	return h.list(func(p *part) string { return p.reason })
}

// NotLive lists the parts that have been silent for too long, sorted.
func (h *Health) NotLive() []string {
	now := time.Now()
	return h.list(func(p *part) string {
		if silent := now.Sub(p.beat); p.timeout > 0 && silent > p.timeout {
			return fmt.Sprintf("no sign of life for %s", silent.Round(time.Second))
		}
		return ""
	})
}

func (h *Health) list(why func(*part) string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for name, p := range h.parts {
		if reason := why(p); reason != "" {
			out = append(out, name+": "+reason)
		}
	}
	sort.Strings(out)
	return out
}

// Handler serves /readiness and /liveness: 200, or 503 with one reason a line.
func (h *Health) Handler() http.Handler {
	serve := func(list func() []string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if reasons := list(); len(reasons) > 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintln(w, strings.Join(reasons, "\n"))
				return
			}
			fmt.Fprintln(w, "ok")
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readiness", serve(h.NotReady))
	mux.HandleFunc("GET /liveness", serve(h.NotLive))
	return mux
}
