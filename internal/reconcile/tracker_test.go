package reconcile

import (
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
)

func same(a, b string) bool { return a == b }

// pendingOf is what Pending yields, as "want/have" with "-" for nil.
func pendingOf(t *Tracker[int, string]) map[int]string {
	out := map[int]string{}
	t.Pending(func(k int, want, have *string) {
		text := func(v *string) string {
			if v == nil {
				return "-"
			}
			return *v
		}
		out[k] = text(want) + "/" + text(have)
	})
	return out
}

func TestPending(t *testing.T) {
	tr := New[int](same)
	step := func(name string, do func(), want map[int]string) {
		t.Helper()
		do()
		if got := pendingOf(tr); !maps.Equal(got, want) {
			t.Errorf("%s: pending %v, want %v", name, got, want)
		}
		if tr.NumPending() != len(want) {
			t.Errorf("%s: NumPending %d, want %d", name, tr.NumPending(), len(want))
		}
	}
	step("desire", func() { tr.Desire(1, "a") }, map[int]string{1: "a/-"})
	step("observe another value", func() { tr.Observe(1, "b") }, map[int]string{1: "a/b"})
	step("observe a stranger", func() { tr.Observe(2, "x") }, map[int]string{1: "a/b", 2: "-/x"})
	step("done", func() { tr.Done(1); tr.Done(2) }, map[int]string{})
	step("forget", func() { tr.Forget(1) }, map[int]string{1: "-/a"})
	step("wanted again as it is", func() { tr.Desire(1, "a") }, map[int]string{})
	step("lost in the kernel", func() { tr.ObserveGone(1) }, map[int]string{1: "a/-"})
	step("read anew", func() { tr.ObserveAll(map[int]string{1: "a", 7: "y"}) }, map[int]string{7: "-/y"})
	step("read empty", func() { tr.ObserveAll(nil) }, map[int]string{1: "a/-"})
	step("forgotten before it was written", func() { tr.Forget(1) }, map[int]string{})
	if tr.Len() != 0 || tr.Present() != 0 {
		t.Errorf("Len %d, Present %d, want 0, 0", tr.Len(), tr.Present())
	}
}

func TestFailures(t *testing.T) {
	tr := New[int](same)
	tr.Desire(1, "a")
	tr.Failed(1, errors.New("no"))
	tr.Failed(2, errors.New("not pending: ignored"))
	if f := tr.Failures(); len(f) != 1 || f[1].Error() != "no" {
		t.Fatalf("failures %v", f)
	}
	if tr.NumPending() != 1 {
		t.Fatal("a failed key must stay pending")
	}
	tr.Done(1)
	if f := tr.Failures(); len(f) != 0 {
		t.Fatalf("failures after success %v", f)
	}
	tr.Forget(1)
	tr.Failed(1, errors.New("busy"))
	tr.ObserveAll(nil)
	if f := tr.Failures(); len(f) != 0 {
		t.Fatalf("failures of a key that nobody wants and that is not there: %v", f)
	}
}

// Whatever the history, what is pending is the difference of two plain maps.
func TestAgainstTwoMaps(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	tr := New[int](same)
	want, have := map[int]string{}, map[int]string{}
	value := func() string { return string(rune('a' + r.IntN(3))) }
	for i := range 50_000 {
		k := r.IntN(20)
		switch r.IntN(7) {
		case 0, 1:
			want[k] = value()
			tr.Desire(k, want[k])
		case 2:
			delete(want, k)
			tr.Forget(k)
		case 3:
			have[k] = value()
			tr.Observe(k, have[k])
		case 4:
			delete(have, k)
			tr.ObserveGone(k)
		case 5:
			if v, ok := want[k]; ok {
				have[k] = v
			} else {
				delete(have, k)
			}
			tr.Done(k)
		case 6:
			if r.IntN(10) == 0 {
				have = map[int]string{}
				for range r.IntN(20) {
					have[r.IntN(25)] = value()
				}
				tr.ObserveAll(have)
			}
		}
		diff := map[int]string{}
		for k, w := range want {
			if h, ok := have[k]; !ok {
				diff[k] = w + "/-"
			} else if h != w {
				diff[k] = w + "/" + h
			}
		}
		for k, h := range have {
			if _, ok := want[k]; !ok {
				diff[k] = "-/" + h
			}
		}
		if got := pendingOf(tr); !maps.Equal(got, diff) {
			t.Fatalf("step %d: pending %v, want %v", i, got, diff)
		}
		if tr.Len() != len(want) || tr.Present() != len(have) {
			t.Fatalf("step %d: Len %d Present %d, want %d %d", i, tr.Len(), tr.Present(), len(want), len(have))
		}
	}
}
