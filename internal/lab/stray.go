package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endStrays ends what stopAll does not know: programs that a user started inside the lab's namespaces, which would keep
// these alive, and a lab's own program whose starter was killed before it wrote the PID down.
func (l *Lab) endStrays() error {
	inside := map[string]bool{}
	entries, err := os.ReadDir(l.net.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		ns, err := l.net.get(e.Name())
		if err != nil {
			continue // a file whose mount is gone
		}
		_, ino := ns.ID()
		inside[fmt.Sprintf("net:[%d]", ino)] = true
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := 0
		for _, pid := range pids() {
			if l.stray(pid, inside) {
				left = pid
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d does not end", left)
		}
	}
}

// stray tells whether a process is in one of the lab's namespaces, or is a program of the lab. A PID that ends meanwhile
// is none.
func (l *Lab) stray(pid int, inside map[string]bool) bool {
	if pid == os.Getpid() {
		return false
	}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if net, err := os.Readlink(filepath.Join(proc, "ns/net")); err == nil && inside[net] {
		return true
	}
	raw, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return false
	}
	args := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
	if len(args) < 2 || args[1] != "agent" && args[1] != "store" && args[1] != "lab" {
		return false
	}
	for i := 2; i+1 < len(args); i++ {
		if (args[i] == "--dir" || args[i] == "--run-dir") && (args[i+1] == l.dir || strings.HasPrefix(args[i+1], l.dir+"/")) {
			return true
		}
	}
	return false
}

func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}
