package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/kernel"
)

// An ordinary user's lab lives in a world of its own: user, mount, network, process and IPC namespaces in which the user
// is root. The lab's folder is the user's own, outside as well: sockets in it answer from outside too. The first process
// of a world is process 1 there, so everything in the world ends with it.

// How a world's processes are told what they are.
const (
	worldVariable  = "TORTIE_LAB_WORLD"  // set for process 1, which furnishes the world
	rootVariable   = "TORTIE_LAB_ROOT"   // the folder that labs live in
	errorsVariable = "TORTIE_LAB_ERRORS" // set where errors go to descriptor 3, to be told by the command outside
)

const errorsDescriptor = 3

// privileged tells whether this process may make and enter network namespaces and mount.
func privileged() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	return data[0].Effective&need == need
}

// worldAttributes make a process the first of a world.
func worldAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
		UidMappings: []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: os.Getuid(), Size: 1},
		},
		GidMappings: []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: os.Getgid(), Size: 1},
		},
	}
}

// worldEnvironment is the environment of a world's first process.
func worldEnvironment() []string { return []string{worldVariable + "=1", rootVariable + "=" + Root()} }

// furnish makes a world out of new namespaces: mounts that nobody outside sees, its own processes in /proc, a loopback.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return worldRefused(fmt.Errorf("keep mounts private: %w", err))
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return worldRefused(fmt.Errorf("mount /proc: %w", err))
	}
	ns, err := kernel.CurrentNamespace()
	if err != nil {
		return worldRefused(err)
	}
	defer ns.Close()
	if err := withHandle(ns, func(h *kernel.Handle) error { return h.SetLinkUp("lo") }); err != nil {
		return worldRefused(err)
	}
	return nil
}

// worldRefused says what keeps an ordinary user from having a lab here.
func worldRefused(err error) error {
	return fmt.Errorf("a lab without root needs user namespaces, and this system refuses one: %w: %s", err, missing("/proc", err))
}

// missing is what seems to be in the way, and the way around it.
func missing(proc string, err error) string {
	setting := func(path string) string {
		raw, err := os.ReadFile(filepath.Join(proc, "sys", path))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(raw))
	}
	const asRoot = "; as root every lab works"
	if _, err := os.Stat(filepath.Join(proc, "self/ns/user")); err != nil {
		return "this kernel has none (CONFIG_USER_NS)" + asRoot
	}
	if setting("kernel/unprivileged_userns_clone") == "0" {
		return "sysctl kernel.unprivileged_userns_clone is 0, must be 1" + asRoot
	}
	if setting("kernel/apparmor_restrict_unprivileged_userns") == "1" {
		return "AppArmor forbids them to programs without a profile that says userns (sysctl kernel.apparmor_restrict_unprivileged_userns is 1, must be 0)" + asRoot
	}
	for _, kind := range []string{"user", "mnt", "net", "pid", "ipc"} {
		if setting("user/max_"+kind+"_namespaces") == "0" {
			return "sysctl user.max_" + kind + "_namespaces is 0" + asRoot
		}
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
		return "a limit of the sysctls user.max_*_namespaces, or the depth of 32, is reached" + asRoot
	}
	return "a container's seccomp profile or masked /proc, a chroot or a security module may be in the way" + asRoot
}

// inside wraps a verb that builds and takes down in one run: without privileges it runs in a world of its own.
func inside(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if privileged() {
			return placed(run)(c, args)
		}
		return enter(c.Context())
	}
}

// placed runs a verb that is where it belongs: it furnishes the world first where that is its part, and hands its error to
// the command outside where there is one.
func placed(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		first, outside := os.Getenv(worldVariable) != "", os.Getenv(errorsVariable) != ""
		err := errors.Join(os.Unsetenv(worldVariable), os.Unsetenv(errorsVariable)) // not for the processes of the lab
		if outside {
			syscall.CloseOnExec(errorsDescriptor)
		}
		if err == nil && first {
			err = furnish()
		}
		if err == nil {
			err = run(c, args)
		}
		if err != nil && outside {
			pipe := os.NewFile(errorsDescriptor, "errors")
			if _, failed := io.WriteString(pipe, err.Error()); failed == nil {
				c.Root().SetErr(io.Discard) // told outside
			}
			_ = pipe.Close()
		}
		return err
	}
}

// enter runs this very command line as the first process of a world and waits for it.
func enter(ctx context.Context) error {
	if err := makeRoot(); err != nil {
		return err
	}
	defer func() { _ = os.Remove(Root()) }() // only when no lab is in it
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer read.Close()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{write}
	cmd.Env = append(append(os.Environ(), worldEnvironment()...), errorsVariable+"=1")
	cmd.SysProcAttr = worldAttributes()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // of the thread that starts it, so that one must stay
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		return worldRefused(err)
	}
	ended := make(chan struct{})
	go func() { // Ctrl-C reaches the world by itself, a signal to this process alone does not
		select {
		case <-ended:
			return
		case <-ctx.Done():
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(downLimit):
			_ = cmd.Process.Kill()
		}
	}()
	said, readErr := io.ReadAll(read)
	err = cmd.Wait()
	close(ended)
	return told(ctx, errors.Join(err, readErr), string(said))
}

// told is the error of a command that ran in a world: in its own words where it had some.
func told(ctx context.Context, err error, said string) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", strings.TrimSpace(said), context.Canceled)
	case said != "":
		var all []error
		for line := range strings.SplitSeq(said, "\n") {
			all = append(all, errors.New(line))
		}
		return errors.Join(all...)
	}
	var exit exitError
	if errors.As(err, &exit) {
		return exit // of a command that lab exec ran; it has said itself what there was to say
	}
	return fmt.Errorf("lab: its first process ended without a word: %w", err)
}

// makeRoot makes the folder that labs live in. It must be this user's own: others could plant links in it.
func makeRoot() error {
	if err := os.MkdirAll(Root(), 0o700); err != nil {
		return fmt.Errorf("folder of labs: %w", err)
	}
	info, err := os.Lstat(Root())
	if err != nil {
		return fmt.Errorf("folder of labs: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("folder of labs: %s is not this user's own folder: set %s to another", Root(), rootVariable)
	}
	return nil
}
