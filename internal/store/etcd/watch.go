package etcd

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/tortie-net/tortie/internal/store"
)

// watch is one stream, with a watcher for each range.
//
// The library's own watch is not used: it resumes by itself after a loss, so that nobody learns of it, it waits without
// end when the store went back to an earlier revision, and it keeps without bound what is not fetched. Here a slow
// reader slows the stream, and the server keeps what is due.
type watch struct {
	store   *Store
	query   store.Query
	stream  etcdserverpb.Watch_WatchClient
	ctx     context.Context
	stop    context.CancelFunc
	batches chan store.Batch

	watchers []watcher
	seen     store.Revision // of the last batch
	progress *progress

	mu  sync.Mutex
	err error
}

// watcher is one range of the stream.
type watcher struct {
	id    int64
	floor int64 // everything of this range up to here has come
}

// broadcast is the watcher ID of an answer that holds for all of the stream.
const broadcast = -1

func (w *watch) Batches() <-chan store.Batch { return w.batches }
func (w *watch) Stop()                       { w.stop() }

func (w *watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Watch follows a query from just after a revision. It returns when the server has taken it up. A revision that the
// store has forgotten, or not reached (it was restored from a backup), is ErrCompacted, here or as the watch's end.
func (s *Store) Watch(ctx context.Context, q store.Query, after store.Revision) (store.Watch, error) {
	if len(q.Kinds) == 0 {
		return nil, fmt.Errorf("watch: %w: a query names at least one kind", store.ErrInvalid)
	}
	spans, err := watchSpans(q)
	if err != nil {
		return nil, err
	}
	if len(spans) == 0 { // no key can match; the watch lives all the same
		spans = []span{exactly(ipamConfigKey)}
	}
	lasting, stop := context.WithCancel(ctx)
	w := &watch{store: s, query: q, ctx: lasting, stop: stop, batches: make(chan store.Batch), seen: after}
	what := fmt.Sprintf("watch after revision %d", after)
	var early []*etcdserverpb.WatchResponse
	err = s.call(ctx, what, func(limited context.Context, client *clientv3.Client) error {
		// The stream must outlive the time-out of its start.
		unhook := context.AfterFunc(limited, stop)
		defer unhook()
		early, err = w.open(limited, client.ActiveConnection(), spans, after)
		return err
	})
	if err != nil {
		stop()
		return nil, err
	}
	go w.run(early)
	return w, nil
}

// open starts the stream and its watchers, and returns what came before all of them stood.
func (w *watch) open(limited context.Context, conn *grpc.ClientConn, spans []span, after store.Revision) ([]*etcdserverpb.WatchResponse, error) {
	stream, err := etcdserverpb.NewWatchClient(conn).Watch(clientv3.WithRequireLeader(w.ctx),
		grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		return nil, err
	}
	w.stream = stream
	if len(spans) > 1 && progressIsExact(limited, conn) {
		w.progress = &progress{stream: stream}
	}
	for _, sp := range spans {
		err := stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{
			CreateRequest: &etcdserverpb.WatchCreateRequest{
				Key: []byte(sp.start), RangeEnd: []byte(sp.end), StartRevision: int64(after) + 1, ProgressNotify: true,
			},
		}})
		if err != nil {
			_, err = stream.Recv() // which says why; Send only says that it is over
			return nil, err
		}
	}
	var early []*etcdserverpb.WatchResponse
	for len(w.watchers) < len(spans) {
		answer, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		if !answer.Created {
			early = append(early, answer)
			continue
		}
		if err := ended(answer, after); err != nil {
			return nil, err
		}
		if store.Revision(answer.Header.GetRevision()) < after {
			return nil, fmt.Errorf("%w: the store stands at revision %d", store.ErrCompacted, answer.Header.GetRevision())
		}
		w.watchers = append(w.watchers, watcher{id: answer.WatchId, floor: int64(after)})
	}
	return early, nil
}

// run passes on what the stream brings until it ends.
func (w *watch) run(early []*etcdserverpb.WatchResponse) {
	err := w.receive(early)
	if w.ctx.Err() != nil && w.store.ctx.Err() == nil {
		err = w.ctx.Err()
	}
	w.stop()
	w.progress.end()
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	close(w.batches)
}

func (w *watch) receive(early []*etcdserverpb.WatchResponse) error {
	for {
		var answer *etcdserverpb.WatchResponse
		if len(early) > 0 {
			answer, early = early[0], early[1:]
		} else {
			var err error
			if answer, err = w.stream.Recv(); err != nil {
				return fmt.Errorf("watch: %w", meaning(err))
			}
		}
		if err := ended(answer, w.seen); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if answer.Created {
			continue
		}
		batch := store.Batch{Events: w.events(answer.Events), Revision: w.advance(answer)}
		if len(batch.Events) == 0 && batch.Revision == w.seen {
			continue
		}
		w.seen = batch.Revision
		select {
		case w.batches <- batch:
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
	}
}

// ended says why the server gave a watcher up, or nil.
func ended(answer *etcdserverpb.WatchResponse, after store.Revision) error {
	switch {
	case answer.CompactRevision != 0:
		return fmt.Errorf("%w: revision %d is gone, %d is the oldest that can be served", store.ErrCompacted, after, answer.CompactRevision)
	case answer.Canceled:
		return fmt.Errorf("the server ended it: %s", answer.CancelReason)
	}
	return nil
}

// events are those that the query asks for.
func (w *watch) events(raw []*mvccpb.Event) []store.Event {
	var events []store.Event
	for _, e := range raw {
		key, ok, problem := DecodeKey(string(e.Kv.Key))
		if !ok || !wants(w.query, key) {
			continue
		}
		if e.Type == mvccpb.Event_DELETE {
			events = append(events, store.Event{Object: store.Object{Key: key, Revision: store.Revision(e.Kv.ModRevision)}, Deleted: true})
			continue
		}
		events = append(events, store.Event{Object: w.store.object(key, problem, e.Kv)})
	}
	return events
}

// advance notes how far a range has come, and returns how far all have. An answer with events holds for its range up to
// its last event; one without, for its range up to the revision in its header.
func (w *watch) advance(answer *etcdserverpb.WatchResponse) store.Revision {
	reached := answer.Header.GetRevision()
	if n := len(answer.Events); n > 0 {
		reached = answer.Events[n-1].Kv.ModRevision
	}
	lowest, highest := int64(math.MaxInt64), int64(0)
	for i := range w.watchers {
		r := &w.watchers[i]
		if r.id == answer.WatchId || answer.WatchId == broadcast {
			r.floor = max(r.floor, reached)
		}
		lowest, highest = min(lowest, r.floor), max(highest, r.floor)
	}
	w.progress.want(lowest < highest)
	return max(w.seen, store.Revision(lowest))
}

// The delays before the server is asked how far all ranges of a stream have come: at first, and again while it is silent.
const (
	progressDelay  = 20 * time.Millisecond
	progressRepeat = 200 * time.Millisecond
)

// progress asks the server how far a stream has come while its ranges stand at different revisions: a quiet range says
// nothing by itself for minutes. A nil progress asks nothing.
type progress struct {
	stream etcdserverpb.Watch_WatchClient

	mu     sync.Mutex
	wanted bool
	ended  bool
	timer  *time.Timer
}

func (p *progress) want(wanted bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if wanted && !p.wanted && !p.ended {
		p.timer = time.AfterFunc(progressDelay, p.ask)
	}
	p.wanted = wanted
}

func (p *progress) ask() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wanted || p.ended {
		return
	}
	request := &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{
		ProgressRequest: &etcdserverpb.WatchProgressRequest{},
	}}
	if p.stream.Send(request) == nil { // else the stream is over, and its reader learns why
		p.timer = time.AfterFunc(progressRepeat, p.ask)
	}
}

func (p *progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// progressIsExact says whether the server's answer to a progress request can be believed: before 3.4.25 and 3.5.8 it
// could overtake events (etcd issue 15220). Where it cannot, the revision of a watch over several ranges lags behind.
func progressIsExact(ctx context.Context, conn *grpc.ClientConn) bool {
	status, err := etcdserverpb.NewMaintenanceClient(conn).Status(ctx, &etcdserverpb.StatusRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return false
	}
	return exactSince(status.Version)
}

func exactSince(version string) bool {
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return false
	}
	switch {
	case major != 3 || minor > 5:
		return major >= 3
	case minor == 5:
		return patch >= 8
	case minor == 4:
		return patch >= 25
	}
	return false
}
