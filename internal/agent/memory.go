package agent

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// The collector runs when the heap has grown by a half: an agent is mostly still, and memory on every node counts for more
// than its CPU at the start.
const gcPercent = 50

// limitMemory sets the collector, and the soft limit to nine tenths of what the cgroup allows. GOGC and GOMEMLIMIT in the
// environment win.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit := cgroupLimit(os.ReadFile); limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}

// cgroupLimit is the memory that the process's cgroup may use, in bytes; 0: no limit, or not known.
func cgroupLimit(read func(string) ([]byte, error)) int64 {
	own, err := read("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(math.MaxInt64)
	for _, line := range strings.Split(string(own), "\n") {
		path, v2 := strings.CutPrefix(line, "0::")
		if !v2 {
			continue
		}
		for { // a parent's limit counts as well
			if raw, err := read("/sys/fs/cgroup" + path + "/memory.max"); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil {
					least = min(least, n)
				}
			}
			i := strings.LastIndexByte(path, '/')
			if i < 0 {
				break
			}
			path = path[:i]
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}
