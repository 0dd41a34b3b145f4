package feed

import (
	"context"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

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
		batch := Batch{Updates: make([]model.Update, 0, len(events)), Revision: revision, InSync: inSync}
		for _, e := range events {
			value, err := f.value(e)
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
		select {
		case <-ctx.Done():
			return
		case out <- batch:
			last = Batch{Revision: revision, InSync: inSync}
			f.setReached(revision, inSync)
		}
	}
}

// value is what an object is now for the reader.
func (f *Feed) value(e store.Event) (any, error) {
	if e.Deleted {
		return nil, nil
	}
	return f.decode(e.Object)
}
