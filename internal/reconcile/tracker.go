package reconcile

import (
	"errors"
	"iter"
)

// Tracker holds, for each key, the value that is wanted and the value that is there, and knows which keys differ. Its
// cost per call is constant; Pending costs what differs, not what is tracked. It is not safe for concurrent use.
type Tracker[K comparable, V any] struct {
	equal    func(a, b V) bool
	entries  map[K]entry[V]
	pending  map[K]struct{}
	failures map[K]error
	wanted   int
	present  int
}

type entry[V any] struct {
	want, have        V
	isWanted, isThere bool
}

// New makes an empty tracker. equal tells whether what is there will do for what is wanted.
func New[K comparable, V any](equal func(a, b V) bool) *Tracker[K, V] {
	return &Tracker[K, V]{equal: equal}
}

// Desire says that k must be v.
func (t *Tracker[K, V]) Desire(k K, v V) {
	e := t.entries[k]
	if !e.isWanted {
		t.wanted++
	}
	e.want, e.isWanted = v, true
	t.put(k, e)
}

// Forget says that k is no longer wanted; what is there must go.
func (t *Tracker[K, V]) Forget(k K) {
	e, ok := t.entries[k]
	if !ok || !e.isWanted {
		return
	}
	t.wanted--
	var zero V
	e.want, e.isWanted = zero, false
	t.put(k, e)
}

// Observe says that k was seen to be v.
func (t *Tracker[K, V]) Observe(k K, v V) {
	e := t.entries[k]
	if !e.isThere {
		t.present++
	}
	e.have, e.isThere = v, true
	t.put(k, e)
}

// ObserveGone says that k was seen not to be there.
func (t *Tracker[K, V]) ObserveGone(k K) {
	e, ok := t.entries[k]
	if !ok || !e.isThere {
		return
	}
	t.present--
	var zero V
	e.have, e.isThere = zero, false
	t.put(k, e)
}

// ObserveAll says that actual is all that is there. The map is not kept.
func (t *Tracker[K, V]) ObserveAll(actual map[K]V) {
	t.ObserveSeq(func(yield func(K, V) bool) {
		for k, v := range actual {
			if !yield(k, v) {
				return
			}
		}
	})
}

// ObserveSeq is ObserveAll for a sequence; of a key that it repeats, the last value counts.
func (t *Tracker[K, V]) ObserveSeq(actual iter.Seq2[K, V]) {
	var zero V
	for k, e := range t.entries {
		if !e.isThere {
			continue
		}
		e.have, e.isThere = zero, false
		if e.isWanted {
			t.entries[k] = e
		} else {
			delete(t.entries, k)
		}
	}
	t.present = 0
	clear(t.pending)
	for k, v := range actual {
		e := t.entries[k]
		if !e.isThere {
			t.present++
		}
		e.have, e.isThere = v, true
		t.store(k, e)
	}
	for k, e := range t.entries {
		if t.differs(e) {
			t.mark(k)
		} else {
			delete(t.failures, k)
		}
	}
	for k := range t.failures {
		if _, ok := t.entries[k]; !ok {
			delete(t.failures, k)
		}
	}
}

// Pending calls yield for each key whose wanted and actual value differ, in no order: want is nil where k must go, have
// is nil where it is not there yet. yield may call Done and Failed for its key.
func (t *Tracker[K, V]) Pending(yield func(k K, want, have *V)) {
	for k := range t.pending {
		e := t.entries[k]
		var want, have *V
		if e.isWanted {
			want = &e.want
		}
		if e.isThere {
			have = &e.have
		}
		yield(k, want, have)
	}
}

// Done says that k was made what is wanted: written, or removed.
func (t *Tracker[K, V]) Done(k K) {
	e, ok := t.entries[k]
	if !ok {
		return
	}
	switch {
	case e.isWanted && !e.isThere:
		t.present++
	case !e.isWanted && e.isThere:
		t.present--
	}
	e.have, e.isThere = e.want, e.isWanted
	t.put(k, e)
}

// Failed keeps why k could not be made what is wanted. It stays pending; the reason goes once k is no longer pending.
func (t *Tracker[K, V]) Failed(k K, err error) {
	if _, ok := t.pending[k]; !ok {
		return
	}
	if err == nil {
		err = errors.New("unknown reason")
	}
	if t.failures == nil {
		t.failures = make(map[K]error)
	}
	t.failures[k] = err
}

// Failures is why keys that are pending could not be written. The caller may keep the map.
func (t *Tracker[K, V]) Failures() map[K]error {
	out := make(map[K]error, len(t.failures))
	for k, err := range t.failures {
		out[k] = err
	}
	return out
}

// Wanted is the value that k must have.
func (t *Tracker[K, V]) Wanted(k K) (V, bool) {
	e := t.entries[k]
	return e.want, e.isWanted
}

// Actual is the value that k has, as far as is known.
func (t *Tracker[K, V]) Actual(k K) (V, bool) {
	e := t.entries[k]
	return e.have, e.isThere
}

// AllWanted yields every wanted key and value, in no order. The tracker must not be changed meanwhile.
func (t *Tracker[K, V]) AllWanted() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, e := range t.entries {
			if e.isWanted && !yield(k, e.want) {
				return
			}
		}
	}
}

// Len is the number of wanted keys.
func (t *Tracker[K, V]) Len() int { return t.wanted }

// Present is the number of keys that are there, wanted or not.
func (t *Tracker[K, V]) Present() int { return t.present }

// NumPending is the number of keys that Pending would yield.
func (t *Tracker[K, V]) NumPending() int { return len(t.pending) }

func (t *Tracker[K, V]) differs(e entry[V]) bool {
	if e.isWanted != e.isThere {
		return true
	}
	return e.isWanted && !t.equal(e.want, e.have)
}

func (t *Tracker[K, V]) store(k K, e entry[V]) {
	if t.entries == nil {
		t.entries = make(map[K]entry[V])
	}
	t.entries[k] = e
}

func (t *Tracker[K, V]) mark(k K) {
	if t.pending == nil {
		t.pending = make(map[K]struct{})
	}
	t.pending[k] = struct{}{}
}

func (t *Tracker[K, V]) put(k K, e entry[V]) {
	if !e.isWanted && !e.isThere {
		delete(t.entries, k)
		delete(t.pending, k)
		delete(t.failures, k)
		return
	}
	t.store(k, e)
	if t.differs(e) {
		t.mark(k)
		return
	}
	delete(t.pending, k)
	delete(t.failures, k)
	if len(t.pending) == 0 {
		// A map never shrinks: one that held a whole load must not be kept, nor walked, for single changes.
		t.pending = nil
	}
}
