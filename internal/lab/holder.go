package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// A lab that an ordinary user leaves up needs its world to stay. A holder, process 1 of that world, keeps it, and runs in
// it the commands that later runs of the program ask for over a socket: which descriptors are theirs, where and with
// which environment.

// worldDir is where the holder of a lab has its socket and log. No lab has a dot in its name.
func worldDir(name string) string    { return filepath.Join(Root(), name+".world") }
func worldSocket(name string) string { return filepath.Join(worldDir(name), "socket") }

func worldProcess(name string) processes { return processes{filepath.Join(worldDir(name), "log")} }

// errand is what a holder is asked to run: a command line of this program. With it come four descriptors: standard input,
// output and error, and where errors are told.
type errand struct {
	Args []string `json:"args"`
	Dir  string   `json:"dir"`
	Env  []string `json:"env"`
}

// errandResult is the holder's answer when the errand is done.
type errandResult struct {
	Error string `json:"error,omitempty"` // why it could not be started
	Exit  int    `json:"exit"`            // 128 + signal, where a signal ended it
}

const (
	maxErrand   = 1 << 20 // bytes; command line and environment are at most 2 MiB on Linux, in practice 100 KiB
	descriptors = 4
)

// startHolder makes the world of a lab.
func startHolder(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	p := worldProcess(name)
	if err := os.RemoveAll(worldDir(name)); err != nil { // an earlier world ended with its holder; only files can be left
		return fmt.Errorf("lab %s: clear what an earlier one left: %w", name, err)
	}
	attr := worldAttributes()
	attr.Setsid = true
	if err := p.startWith("hold", nil, attr, worldEnvironment(), self, "lab", "hold", name, "--dir", worldDir(name)); err != nil {
		return worldRefused(err)
	}
	return until(ctx, 5*time.Second, "world of lab "+name, func() error {
		_, err := os.Stat(worldSocket(name))
		if err != nil && p.pid("hold") == 0 {
			return fatal(errors.New(p.tail("hold")))
		}
		return err
	})
}

// endHolder ends a world and all that is in it, and removes its files.
func endHolder(name string) error {
	err := worldProcess(name).stop("hold", syscall.SIGTERM, 2*time.Second)
	err = errors.Join(err, os.RemoveAll(worldDir(name)), os.RemoveAll(filepath.Join(Root(), name)))
	_ = os.Remove(Root()) // only when it was the last
	return err
}

// inWorldOf wraps a verb on a lab that is up, which its first argument names.
func inWorldOf(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if privileged() {
			return placed(run)(c, args)
		}
		if !nameRule.MatchString(args[0]) {
			return wrongName(args[0])
		}
		return ask(c.Context(), args[0], os.Args[1:])
	}
}

// ask has the holder of a lab run a command line, and passes on how it ended.
func ask(ctx context.Context, name string, args []string) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: worldSocket(name)})
	if err != nil {
		return notUp(name)
	}
	defer conn.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("lab %s: %w", name, err)
	}
	defer read.Close()
	dir, err := os.Getwd()
	if err == nil {
		err = sendErrand(conn, errand{args, dir, os.Environ()}, os.Stdin, os.Stdout, os.Stderr, write)
	}
	_ = write.Close()
	if err != nil {
		return fmt.Errorf("lab %s: %w", name, err)
	}
	// Ctrl-C does not reach the errand, which is not of this terminal's: half closing asks the holder to end it.
	stop := context.AfterFunc(ctx, func() { _ = conn.CloseWrite() })
	defer stop()
	said, readErr := io.ReadAll(read)
	var r errandResult
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return fmt.Errorf("lab %s: its world has ended", name)
	}
	switch {
	case readErr != nil:
		return fmt.Errorf("lab %s: %w", name, readErr)
	case r.Error != "":
		return errors.New(r.Error)
	case r.Exit == 0:
		return nil
	}
	return told(ctx, exitError(r.Exit), string(said))
}

// exitError is the failure of a command whose own exit code says it all.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// ExitCode is the code for the shell.
func (e exitError) ExitCode() int { return int(e) }

func sendErrand(conn *net.UnixConn, e errand, files ...*os.File) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if len(raw) >= maxErrand {
		return fmt.Errorf("command line and environment of %d bytes: at most %d", len(raw), maxErrand)
	}
	raw = append(raw, '\n')
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	n, _, err := conn.WriteMsgUnix(raw, syscall.UnixRights(fds...), nil)
	if err == nil && n < len(raw) {
		_, err = conn.Write(raw[n:])
	}
	return err
}

// holdCommand is the holder. Its folder is on its command line so that it is found again.
func holdCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "hold NAME", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: placed(func(c *cobra.Command, args []string) error { return hold(c.Context(), args[0]) }),
	}
	c.Flags().String("dir", "", "folder of the holder")
	return c
}

// hold keeps the world until ctx ends; the kernel then ends every process in it.
func hold(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	lis, err := net.ListenUnix("unix", &net.UnixAddr{Name: worldSocket(name)})
	if err != nil {
		return fmt.Errorf("world of lab %s: %w", name, err)
	}
	h := &holder{program: self, waiting: map[int]chan syscall.WaitStatus{}}
	go h.reap(ctx)
	context.AfterFunc(ctx, func() { _ = lis.Close() })
	for {
		conn, err := lis.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("world of lab %s: %w", name, err)
		}
		go h.serve(conn)
	}
}

// holder runs errands and, as process 1, buries everybody's dead.
type holder struct {
	program string

	mu      sync.Mutex // held while a process is started: its death must not be seen before it is awaited
	waiting map[int]chan syscall.WaitStatus
}

func (h *holder) reap(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	for {
		for {
			h.mu.Lock()
			var ws syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
			if done := h.waiting[pid]; err == nil && done != nil {
				delete(h.waiting, pid)
				done <- ws
			}
			h.mu.Unlock()
			if err != nil && !errors.Is(err, syscall.EINTR) || err == nil && pid <= 0 {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-died:
		}
	}
}

// serve runs one errand and answers when it is done. When the asker goes or half closes, the errand is told to end.
func (h *holder) serve(conn *net.UnixConn) {
	defer conn.Close()
	answer := func(r errandResult) { _ = json.NewEncoder(conn).Encode(r) }
	e, files, err := receiveErrand(conn)
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if err != nil {
		answer(errandResult{Error: fmt.Sprintf("world of the lab: read the request: %v", err)})
		return
	}
	pid, done, err := h.start(e, files)
	if err != nil {
		answer(errandResult{Error: fmt.Sprintf("world of the lab: %v", err)})
		return
	}
	for _, f := range files { // the asker waits for the end of the last
		_ = f.Close()
	}
	files = nil
	gone := make(chan struct{})
	go func() {
		_, _ = conn.Read(make([]byte, 1))
		close(gone)
	}()
	var ws syscall.WaitStatus
	select {
	case ws = <-done:
	case <-gone:
		_ = syscall.Kill(pid, syscall.SIGTERM)
		select {
		case ws = <-done:
		case <-time.After(downLimit):
			_ = syscall.Kill(pid, syscall.SIGKILL)
			ws = <-done
		}
	}
	exit := ws.ExitStatus()
	if ws.Signaled() {
		exit = 128 + int(ws.Signal())
	}
	answer(errandResult{Exit: exit})
}

func (h *holder) start(e errand, files []*os.File) (int, <-chan syscall.WaitStatus, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := os.StartProcess(h.program, append([]string{h.program}, e.Args...), &os.ProcAttr{
		Dir: e.Dir, Env: append([]string{rootVariable + "=" + Root(), errorsVariable + "=1"}, e.Env...), Files: files, // the first of a name counts
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, nil, err
	}
	done := make(chan syscall.WaitStatus, 1)
	h.waiting[p.Pid] = done
	pid := p.Pid
	return pid, done, p.Release()
}

func receiveErrand(conn *net.UnixConn) (e errand, files []*os.File, err error) {
	oob := make([]byte, syscall.CmsgSpace(4*descriptors))
	buf := make([]byte, 64<<10)
	n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return e, nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return e, nil, err
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return e, files, err
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "descriptor of the asker"))
		}
	}
	if len(files) != descriptors {
		return e, files, fmt.Errorf("%d descriptors came with it, %d are needed", len(files), descriptors)
	}
	raw := bytes.Clone(buf[:n])
	for !bytes.HasSuffix(raw, []byte{'\n'}) {
		if len(raw) > maxErrand {
			return e, files, fmt.Errorf("longer than %d bytes", maxErrand)
		}
		if n, err = conn.Read(buf); err != nil {
			return e, files, err
		}
		raw = append(raw, buf[:n]...)
	}
	return e, files, json.Unmarshal(raw, &e)
}
