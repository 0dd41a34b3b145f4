package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are Calico's names where the thing exists here (docs/metrics.md).
func (a *Agent) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge := func(name, help string, f func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	counter := func(name, help string, f func() float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
	}
	gauge("felix_active_local_endpoints", "Workloads of this node that are joined to an interface.", func() float64 {
		a.core.mu.Lock()
		defer a.core.mu.Unlock()
		_, joined := a.core.local.Count()
		return float64(joined)
	})
	counter("felix_calc_graph_updates_processed", "Objects that the calculation has visited.", func() float64 {
		a.core.mu.Lock()
		defer a.core.mu.Unlock()
		return float64(a.core.calc.Visited())
	})
	gauge("felix_resync_state", "State of the store's feed: 0 away, 1 connected, 2 in sync.", func() float64 {
		s := a.feed.Status()
		switch {
		case s.InSync && s.Connected:
			return 2
		case s.Connected:
			return 1
		}
		return 0
	})
	for _, p := range a.core.planes {
		labels := prometheus.Labels{"plane": p.Name()}
		r.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tortie_plane_objects", Help: "Objects that the plane wants in the kernel.", ConstLabels: labels},
				func() float64 { s, _ := p.Status(); return float64(s.Objects) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tortie_plane_pending", Help: "Objects that the kernel does not have as they should be.", ConstLabels: labels},
				func() float64 { s, _ := p.Status(); return float64(s.Pending) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tortie_plane_writes_total", Help: "Kernel messages sent.", ConstLabels: labels},
				func() float64 { s, _ := p.Status(); return float64(s.Writes) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tortie_plane_repairs_total", Help: "Times that foreign damage was undone.", ConstLabels: labels},
				func() float64 { s, _ := p.Status(); return float64(s.Repairs) }),
		)
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// serveHTTP serves health and metrics on the ports of the settings, and follows changes of them.
func (a *Agent) serveHTTP(ctx context.Context, metrics http.Handler) error {
	var health, prom listener
	defer health.stop()
	defer prom.stop()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	for {
		if cfg := a.core.Config(); cfg != nil {
			a.follow(&health, cfg.HealthEnabled, cfg.HealthHost, cfg.HealthPort, a.health.Handler())
			a.follow(&prom, cfg.MetricsEnabled, cfg.MetricsHost, cfg.MetricsPort, mux)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// listener is an HTTP server that may move.
type listener struct {
	addr   string
	server *http.Server
}

func (l *listener) stop() {
	if l.server != nil {
		_ = l.server.Close()
	}
	*l = listener{}
}

func (a *Agent) follow(l *listener, on bool, host string, port uint16, h http.Handler) {
	if host == "" {
		host = "localhost"
	}
	addr := net.JoinHostPort(host, strconv.Itoa(int(port)))
	if !on {
		addr = ""
	}
	if l.addr == addr {
		return
	}
	l.stop()
	if !on {
		return
	}
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		a.log.Warn("cannot listen", "object", addr, "err", err)
		return
	}
	l.addr, l.server = addr, &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func(s *http.Server) {
		if err := s.Serve(lis); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.log.Warn("HTTP server ended", "err", fmt.Errorf("%s: %w", addr, err))
		}
	}(l.server)
}
