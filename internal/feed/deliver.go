package feed

import (
	"context"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// portion is how many updates of the first list are handed over at once, at most. What the reader has taken in of one portion is
// garbage when the next one is decoded: a whole list of decoded objects would be the most memory that an agent ever needs.
const portion = 1024

// deliver hands batches to the reader, one at a time, until ctx ends. What is decoded is what will be handed over: an
// object that changed ten times while the reader was busy is decoded once.
func (f *Feed) deliver(ctx context.Context, out chan<- Batch) {
	problems := map[model.Key]string{} // as told last
	var last Batch
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.pending.wake:
		}
		events, revision, inSync := f.pending.take()
		if len(events) == 0 && revision == last.Revision && inSync == last.InSync {
			continue // it came between the token and the taking, and went along
		}
		for !last.InSync && len(events) > portion { // what is in sync goes on in whole steps
			if !send(ctx, out, f.batch(events[:portion], problems)) {
				return
			}
			events = events[portion:]
		}
		batch := f.batch(events, problems)
		batch.Revision, batch.InSync = revision, inSync
		if !send(ctx, out, batch) {
			return
		}
		last = Batch{Revision: revision, InSync: inSync}
		f.setReached(revision, inSync)
	}
}

func send(ctx context.Context, out chan<- Batch, b Batch) bool {
	select {
	case <-ctx.Done():
		return false
	case out <- b:
		return true
	}
}

// batch decodes events, which it empties, and tells what is new about their problems.
func (f *Feed) batch(events []store.Event, problems map[model.Key]string) Batch {
	batch := Batch{Updates: make([]model.Update, 0, len(events))}
	for i, e := range events {
		value, err := f.value(e)
		events[i] = store.Event{}
		batch.Updates = append(batch.Updates, model.Update{Key: e.Key, Value: value})
		told, wasBad := problems[e.Key]
		switch {
		case err != nil && (!wasBad || told != err.Error()):
			problems[e.Key] = err.Error()
			batch.Problems = append(batch.Problems, Problem{Key: e.Key, Err: err})
		case err == nil && wasBad:
			delete(problems, e.Key)
			batch.Problems = append(batch.Problems, Problem{Key: e.Key})
		}
	}
	return batch
}

// value is what an object is now for the reader.
func (f *Feed) value(e store.Event) (any, error) {
	if e.Deleted {
		return nil, nil
	}
	return f.decode(e.Object)
}
