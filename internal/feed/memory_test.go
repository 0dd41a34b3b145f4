package feed

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tortie-net/tortie/internal/store"
)

// TestOldAndRepeatedEventsAreDropped gives the memory what a careless back end might: what it gave before.
func TestOldAndRepeatedEventsAreDropped(t *testing.T) {
	event := func(name string, at store.Revision, deleted bool) store.Event {
		return store.Event{Object: store.Object{Key: pool(name), Revision: at}, Deleted: deleted}
	}
	m := newMemory()
	l := m.relist(10, false)
	l.finish(l.page([]store.Object{event("a", 5, false).Object, event("b", 7, false).Object}, nil))
	var got []store.Event
	for _, b := range []store.Batch{
		{Events: []store.Event{event("a", 5, false), event("b", 9, false)}, Revision: 10}, // of before the list
		{Events: []store.Event{event("a", 12, false)}, Revision: 12},
		{Events: []store.Event{event("a", 11, false), event("a", 11, true), event("a", 12, false)}, Revision: 12},
		{Events: []store.Event{event("c", 13, true)}, Revision: 13}, // never heard of
		{Events: []store.Event{event("b", 14, true)}, Revision: 13}, // further than the batch says
		{Events: []store.Event{event("b", 14, true), event("b", 9, false)}, Revision: 14},
		{Events: []store.Event{event("b", 15, false)}, Revision: 12}, // a batch that claims less than the last
	} {
		got = append(got, m.follow(b)...)
	}
	if diff := cmp.Diff([]store.Event{event("a", 12, false), event("b", 14, true), event("b", 15, false)}, got); diff != "" {
		t.Errorf("given on (-want +got):\n%s", diff)
	}
	if m.floor != 14 || m.high != 15 || m.exact() {
		t.Errorf("everything up to %d, something of %d; want 14 and 15", m.floor, m.high)
	}
}
