package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tortie-net/tortie/internal/kernel"
)

// processes starts and stops the lab's programs. Each is a session of its own with its output in a log file, and outlives
// the command that started it: its PID is kept in a file beside the log.
type processes struct{ dir string }

func (p processes) pidFile(name string) string { return filepath.Join(p.dir, name+".pid") }
func (p processes) logFile(name string) string { return filepath.Join(p.dir, name+".log") }

// start runs a program, in a namespace where one is given.
func (p processes) start(name string, ns *kernel.Namespace, env []string, argv ...string) error {
	return p.startWith(name, ns, &syscall.SysProcAttr{Setsid: true}, env, argv...)
}

func (p processes) startWith(name string, ns *kernel.Namespace, attr *syscall.SysProcAttr, env []string, argv ...string) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	log, err := os.OpenFile(p.logFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = attr
	run := func() error { return cmd.Start() }
	if ns != nil {
		err = ns.Do(run)
	} else {
		err = run()
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = cmd.Wait() }() // no zombie while this command lives
	return os.WriteFile(p.pidFile(name), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// pid is the process of a name while it runs, else 0. A PID that another program has by now does not count.
func (p processes) pid(name string) int {
	raw, err := os.ReadFile(p.pidFile(name))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 1 {
		return 0
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(cmdline) == 0 || !strings.Contains(string(cmdline), filepath.Dir(p.dir)) {
		return 0
	}
	return pid
}

// stop ends a process: a polite signal, then, after grace, SIGKILL.
func (p processes) stop(name string, sig syscall.Signal, grace time.Duration) error {
	pid := p.pid(name)
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	for end := time.Now().Add(grace); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if p.pid(name) == 0 {
			return os.Remove(p.pidFile(name))
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if p.pid(name) == 0 {
			return os.Remove(p.pidFile(name))
		}
	}
	return fmt.Errorf("stop %s: process %d does not end", name, pid)
}

// names lists what was started.
func (p processes) names() []string {
	files, _ := filepath.Glob(filepath.Join(p.dir, "*.pid"))
	var out []string
	for _, f := range files {
		out = append(out, strings.TrimSuffix(filepath.Base(f), ".pid"))
	}
	return out
}

// stopAll ends everything, all at once.
func (p processes) stopAll() error {
	names := p.names()
	errs := make(chan error, len(names))
	for _, n := range names {
		go func() { errs <- p.stop(n, syscall.SIGTERM, 5*time.Second) }()
	}
	var all []error
	for range names {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// tail is the end of a process's log, for errors.
func (p processes) tail(name string) string {
	raw, err := os.ReadFile(p.logFile(name))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-tails):], "\n")
}

// tails is how many lines of a log go into an error.
const tails = 5

// fatalError is a reason that no waiting mends.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

func fatal(err error) error { return fatalError{err} }

// until asks again and again until a condition holds, time runs out or the reason is fatal; the last reason is the error.
func until(ctx context.Context, limit time.Duration, what string, ok func() error) error {
	end := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil {
			return nil
		}
		var final fatalError
		if errors.As(err, &final) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %s: %w", what, limit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Logs is the last lines of every process of the lab.
func (l *Lab) Logs(lines int) string {
	var out strings.Builder
	files, _ := filepath.Glob(filepath.Join(l.run.dir, "*.log"))
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		all := strings.Split(strings.TrimSpace(string(raw)), "\n")
		fmt.Fprintf(&out, "--- %s\n%s\n", filepath.Base(f), strings.Join(all[max(0, len(all)-lines):], "\n"))
	}
	return out.String()
}
