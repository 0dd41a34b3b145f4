package plane

import (
	"slices"
	"time"
)

// The same object damaged RepairLimit times within RepairWindow is then repaired only each RepairHoldOff, and named
// (design: the same object damaged three times in a minute: back off and name it).
const (
	RepairLimit   = 3
	RepairWindow  = time.Minute
	RepairHoldOff = 20 * time.Second
)

// Repairs remembers how often each object was repaired of late. The zero value is ready for use; not safe for concurrent
// use.
type Repairs[K comparable] struct{ times map[K][]time.Time }

// Now notes that an object is to be repaired, and returns 0; or, without noting it, how long to leave it yet and how often
// it was repaired within the window.
func (r *Repairs[K]) Now(k K, now time.Time) (wait time.Duration, times int) {
	if r.times == nil {
		r.times = map[K][]time.Time{}
	}
	recent := slices.DeleteFunc(r.times[k], func(t time.Time) bool { return now.Sub(t) > RepairWindow })
	if len(recent) >= RepairLimit {
		if wait := recent[len(recent)-1].Add(RepairHoldOff).Sub(now); wait > 0 {
			r.times[k] = recent
			return wait, len(recent)
		}
	}
	r.times[k] = append(recent, now)
	return 0, len(recent) + 1
}

// Last is when an object was repaired last; zero when it was not, or is forgotten.
func (r *Repairs[K]) Last(k K) time.Time {
	if t := r.times[k]; len(t) > 0 {
		return t[len(t)-1]
	}
	return time.Time{}
}

// Forget drops an object.
func (r *Repairs[K]) Forget(k K) { delete(r.times, k) }
