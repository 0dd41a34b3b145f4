package etcd

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/status"

	"github.com/tortie-net/tortie/internal/store"
)

// The times of a connection. A dead one is noticed after keepAliveTime + keepAliveTimeout, so within 15 s; 10 s is the
// shortest interval that gRPC allows a client. A returned store is found again within maxReconnectDelay, so that
// everything can converge within 5 s of its return.
const (
	operationTimeout  = 5 * time.Second
	keepAliveTime     = 10 * time.Second
	keepAliveTimeout  = 4 * time.Second
	maxReconnectDelay = time.Second
	connectTimeout    = 2 * time.Second        // of one attempt to one address
	troubleTimeout    = 100 * time.Millisecond // for asking why there is no connection
)

// gRPC writes to stderr by itself unless told otherwise, before its first use: a failed call is returned as an error
// and reported there, once.
func init() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}

// Store is a store.Store in etcd.
type Store struct {
	config Config
	codec  Codec
	tls    *tls.Config

	connecting chan struct{}    // holds one token while nobody makes the client
	client     *clientv3.Client // nil before first use; guarded by connecting
	ctx        context.Context  // ends with Close
	close      context.CancelFunc
}

// Open makes a store. It does not wait for the server: what cannot be reached is reported by the operations. An error
// means that the configuration cannot be right.
func Open(config Config, codec Codec) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	t, err := config.tls()
	if err != nil {
		return nil, err
	}
	s := &Store{config: config, codec: codec, tls: t, connecting: make(chan struct{}, 1)}
	s.ctx, s.close = context.WithCancel(context.Background())
	s.connecting <- struct{}{}
	return s, nil
}

// Transactional says that a transaction over several objects is atomic here.
func (s *Store) Transactional() bool { return true }

// Close ends all calls and watches.
func (s *Store) Close() error {
	s.close()
	<-s.connecting
	defer func() { s.connecting <- struct{}{} }()
	if s.client != nil {
		_ = s.client.Close() // says only that its context has ended, which is what was asked for
		s.client = nil
	}
	return nil
}

// connect gives the client, and makes it at first use: with a user name the library speaks to the server while making
// it, and fails when that is away.
func (s *Store) connect(ctx context.Context) (*clientv3.Client, error) {
	select {
	case <-s.connecting:
		defer func() { s.connecting <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.ctx.Err() != nil {
		return nil, fmt.Errorf("%w: closed", store.ErrUnavailable)
	}
	if s.client != nil {
		return s.client, nil
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            s.config.urls(),
		DialTimeout:          operationTimeout,
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		TLS:                  s.tls,
		Username:             s.config.Username,
		Password:             s.config.Password,
		Context:              s.ctx,
		Logger:               zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxReconnectDelay},
			MinConnectTimeout: connectTimeout,
		})},
	})
	if err != nil {
		return nil, err
	}
	s.client = client
	return client, nil
}

// call runs one operation under the store's time-out and says of an error what was tried.
func (s *Store) call(ctx context.Context, what string, do func(context.Context, *clientv3.Client) error) error {
	limited, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	client, err := s.connect(limited)
	if err == nil {
		err = do(limited, client)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("store operation %s: %w", what, ctx.Err())
	}
	if limited.Err() != nil {
		return fmt.Errorf("store operation %s timed out after %v: %w%s", what, operationTimeout, store.ErrUnavailable, trouble(client))
	}
	return fmt.Errorf("store operation %s: %w", what, meaning(err))
}

// trouble says why there is no connection (refused, no such socket, an unknown certificate authority), or nothing. A
// call that waits for a connection ends with its time-out alone; one that does not wait ends with the reason.
func trouble(client *clientv3.Client) string {
	if client == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(client.Ctx(), troubleTimeout)
	defer cancel()
	_, err := etcdserverpb.NewKVClient(client.ActiveConnection()).Range(ctx, &etcdserverpb.RangeRequest{Key: []byte(ipamConfigKey)})
	if answer, ok := status.FromError(err); ok && answer.Code() == codes.Unavailable {
		return ": " + answer.Message()
	}
	return ""
}
