package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/kernel"
)

// row is one line of the table.
type row struct {
	what   string
	figure string // what was reached
	aim    string // of the design
	must   string // what gates a release; empty: the aim does
	met    verdict
	note   string // conditions of this row
}

// verdict is whether a row's aim was met.
type verdict string

// The verdicts. A row without a budget of its own shows how another came about.
const (
	met      verdict = "met"
	mustOnly verdict = "must only" // the aim was missed, what gates was met
	missed   verdict = "MISSED"
	shown    verdict = "-"
)

// judge compares a figure with the aim and with what gates, both upper limits.
func judge(got, aim, must float64) verdict {
	switch {
	case got <= aim:
		return met
	case got <= must:
		return mustOnly
	}
	return missed
}

// atLeast is judge for lower limits.
func atLeast(got, aim, must float64) verdict { return judge(-got, -aim, -must) }

// worst is the verdict over several.
func worst(vs ...verdict) verdict {
	order := []verdict{shown, met, mustOnly, missed}
	return slices.MaxFunc(vs, func(a, b verdict) int { return slices.Index(order, a) - slices.Index(order, b) })
}

// printTable writes the rows in columns, each with its conditions on a line of their own.
func printTable(w io.Writer, rows []row) {
	cells := [][]string{{"WHAT", "AIM", "MUST", "MET", "REACHED"}}
	for _, r := range rows {
		must := r.must
		if must == "" {
			must = "as aimed"
		}
		cells = append(cells, []string{r.what, r.aim, must, string(r.met), r.figure})
	}
	width := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, c := range line {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	fmt.Fprintln(w)
	for n, line := range cells {
		var b strings.Builder
		for i, c := range line {
			b.WriteString(c)
			b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
		if n > 0 && rows[n-1].note != "" {
			fmt.Fprintln(w, "    "+rows[n-1].note)
		}
	}
}

// conditions is what all figures of a run have in common.
func conditions(b *bench) string {
	size := "full"
	if b.short {
		size = "short"
	}
	return fmt.Sprintf("%s run; kernel %s, %d cores (shared with whatever else runs: load %s), %s; etcd: built in, one member, "+
		"unix socket, on tmpfs without disk sync unless a row says otherwise; its CPU time counts in no row but competes for the cores",
		size, kernel.Release(), runtime.NumCPU(), load(), runtime.Version())
}

func load() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	f := strings.Fields(string(raw))
	return strings.Join(f[:min(3, len(f))], " ")
}

// times are samples of one duration.
type times []time.Duration

// at is the p-th percentile, 0 to 100, by nearest rank.
func (t times) at(p float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	s := slices.Clone(t)
	slices.Sort(s)
	i := int(p/100*float64(len(s))+0.999999) - 1
	return s[min(max(i, 0), len(s)-1)]
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// quantiles prints the usual three.
func (t times) quantiles() string {
	return fmt.Sprintf("p50 %.2f, p90 %.2f, p99 %.2f ms", ms(t.at(50)), ms(t.at(90)), ms(t.at(99)))
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// cpuOf is the CPU time that a process has used, all its threads, also those that ended, to the nanosecond
// (clock_getcpuclockid(3)). It must run or be a zombie.
func cpuOf(pid int) time.Duration {
	const cpuClockSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|cpuClockSched, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// memoryOf reads a line of /proc/PID/status, like VmRSS or VmHWM, in MB.
func memoryOf(pid int, field string) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			var kb float64
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				return kb * 1024 / 1e6
			}
		}
	}
	return 0
}
