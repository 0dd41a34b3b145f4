package obs

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogLimitsLinesPerObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := NewLog(&out, &slog.LevelVar{})
		for range 50 {
			log.Info("damaged", KeyObject, "route a")
			log.With(KeyObject, "route b").Info("damaged")
		}
		if a, b := strings.Count(out.String(), "route a"), strings.Count(out.String(), "route b"); a != 10 || b != 10 {
			t.Fatalf("%d lines of a and %d of b in a second, want 10 each", a, b)
		}
		time.Sleep(time.Second)
		out.Reset()
		log.Info("damaged", KeyObject, "route a")
		if !strings.Contains(out.String(), "leftOut=40") {
			t.Fatalf("the next line does not say what was left out: %s", out.String())
		}
	})
}

func TestLevelChangesLive(t *testing.T) {
	var out bytes.Buffer
	level := &slog.LevelVar{}
	log := NewLog(&out, level)
	log.Debug("first")
	level.Set(slog.LevelDebug)
	log.Debug("second")
	if s := out.String(); strings.Contains(s, "first") || !strings.Contains(s, "second") {
		t.Fatal(s)
	}
	if _, err := ParseLevel("Loud"); err == nil || err.Error() != `log level "Loud": allowed are Trace, Debug, Info, Warning, Error, Fatal` {
		t.Fatal(err)
	}
}

func TestHealthNamesReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Health{}
		ask := func(path string) (int, string) {
			w := httptest.NewRecorder()
			h.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			return w.Code, strings.TrimSpace(w.Body.String())
		}
		h.Ready("store", "not in sync")
		h.Watch("plane nft", 10*time.Second)
		if code, body := ask("/readiness"); code != 503 || body != "store: not in sync" {
			t.Errorf("readiness: %d %q", code, body)
		}
		if code, body := ask("/liveness"); code != 200 || body != "ok" {
			t.Errorf("liveness: %d %q", code, body)
		}
		h.Ready("store", "")
		time.Sleep(11 * time.Second)
		if code, body := ask("/liveness"); code != 503 || body != "plane nft: no sign of life for 11s" {
			t.Errorf("liveness: %d %q", code, body)
		}
		h.Beat("plane nft")
		if code, _ := ask("/liveness"); code != 200 {
			t.Errorf("liveness after a beat: %d", code)
		}
		if code, _ := ask("/readiness"); code != 200 {
			t.Errorf("readiness: %d", code)
		}
	})
}
