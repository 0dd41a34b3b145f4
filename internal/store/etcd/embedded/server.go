package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// The limits of the server.
const (
	startTimeout     = 15 * time.Second
	longestSocket    = 107              // bytes of a unix socket's path that the kernel takes
	historyKept      = "10000"          // revisions that watches can go back
	quotaBytes       = 2 << 30          // of the database
	snapshotEntries  = 5000             // log entries between snapshots: what is in memory at most
	catchUpEntries   = 500              // there is no follower that could want them
	progressInterval = 10 * time.Second // between signs of life of a quiet watch
)

// Config says where the server keeps its data and where it listens.
type Config struct {
	Dir    string   // made 0700 if it does not exist
	Listen []string // unix:///path or http://host:port; at least one

	// Fsync makes every write reach the disk before it is answered. Without it a crash of the machine (not of the
	// process) can lose the last writes.
	Fsync bool

	Log *slog.Logger // nil: no log
}

// Server is a running etcd server.
type Server struct {
	etcd      *embed.Etcd
	endpoints []string
	stopping  *atomic.Bool // mutes what etcd says of its own end
	stop      sync.Once

	mu   sync.Mutex
	grpc []*grpc.Server
}

// Start runs a server, and returns when it answers.
func Start(config Config) (*Server, error) {
	settings, err := settings(config)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcd data folder: %w", err)
	}
	if err := os.Chmod(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcd data folder: %w", err)
	}
	server := &Server{endpoints: config.Listen, stopping: new(atomic.Bool)}
	settings.ServiceRegister = server.hold
	log := config.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	settings.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(core{log: log, ending: server.stopping}))
	running, err := embed.StartEtcd(settings)
	if err != nil {
		return nil, fmt.Errorf("start etcd in %s: %w", config.Dir, err)
	}
	server.etcd = running
	for _, u := range settings.ListenClientUrls {
		if u.Scheme == "unix" {
			err = errors.Join(err, os.Chmod(u.Path, 0o600))
		}
	}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-running.Server.ReadyNotify():
	case failed := <-running.Err():
		err = errors.Join(err, failed, errors.New("it ended at once"))
	case <-timeout.C:
		err = errors.Join(err, fmt.Errorf("not ready after %v", startTimeout))
	}
	if err != nil {
		_ = server.Stop() // what counts is why it was stopped
		return nil, fmt.Errorf("start etcd in %s: %w", config.Dir, err)
	}
	return server, nil
}

// Endpoints are where clients reach the server: what Config.Listen said.
func (s *Server) Endpoints() []string { return append([]string(nil), s.endpoints...) }

// Err gives an error when the server ends by itself; it is closed by Stop.
func (s *Server) Err() <-chan error { return s.etcd.Err() }

// Stop ends the server and waits until its data is closed. Connections are cut: clients find out at once.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		s.stopping.Store(true)
		s.mu.Lock()
		for _, g := range s.grpc {
			g.Stop() // else an open watch holds the end up for etcd's whole time-out
		}
		s.mu.Unlock()
		s.etcd.Close()
	})
	return nil
}

// hold keeps the gRPC server of each address, so that Stop can cut its connections.
func (s *Server) hold(g *grpc.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grpc = append(s.grpc, g)
}

// settings makes of the configuration that of the server.
func settings(config Config) (*embed.Config, error) {
	if config.Dir == "" {
		return nil, errors.New("embedded etcd: a data folder must be given")
	}
	if len(config.Listen) == 0 {
		return nil, errors.New("embedded etcd: at least one address to listen on must be given, like unix:///run/etcd.sock")
	}
	e := embed.NewConfig()
	e.Name = "tortie"
	e.Dir = config.Dir
	e.InitialCluster = e.InitialClusterFromName(e.Name)
	e.ListenPeerUrls = nil
	e.ListenClientUrls, e.AdvertiseClientUrls = nil, nil
	for _, address := range config.Listen {
		u, err := listenURL(address)
		if err != nil {
			return nil, err
		}
		e.ListenClientUrls = append(e.ListenClientUrls, *u)
	}
	e.AdvertiseClientUrls = e.ListenClientUrls
	e.UnsafeNoFsync = !config.Fsync
	e.AutoCompactionMode = embed.CompactorModeRevision
	e.AutoCompactionRetention = historyKept
	e.QuotaBackendBytes = quotaBytes
	e.SnapshotCount = snapshotEntries
	e.SnapshotCatchUpEntries = catchUpEntries
	e.WatchProgressNotifyInterval = progressInterval
	e.EnableGRPCGateway = false
	// One member elects itself: nothing is gained by waiting long for others, nor by ticking often.
	e.TickMs, e.ElectionMs = 50, 250
	return e, nil
}

// listenURL reads an address to listen on.
func listenURL(address string) (*url.URL, error) {
	wrong := func(why string) error {
		return fmt.Errorf("embedded etcd: listen on %q: %s: must be unix:///path or http://host:port", address, why)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, wrong("not a URL")
	case u.Scheme == "unix":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return nil, wrong("not an absolute path")
		}
		if len(u.Path) > longestSocket {
			return nil, fmt.Errorf("embedded etcd: listen on %q: the path has %d bytes: at most %d are possible", address, len(u.Path), longestSocket)
		}
	case u.Scheme == "http":
		if u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" {
			return nil, wrong("host and port, and no more, are needed")
		}
	default:
		return nil, wrong("this scheme is not served")
	}
	return u, nil
}
