package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is an open network namespace. It stays alive as long as it is open, bound to a path, or has a process in
// it. Safe for concurrent use; immutable.
type Namespace struct {
	file *os.File
	name string // for errors: a path, or what it was made as
	dev  uint64
	ino  uint64
}

// nsGetType is NS_GET_NSTYPE of ioctl_ns(2).
const nsGetType = 0xb703

// CurrentNamespace opens the namespace of the process: that of its first thread, not that of a thread which happens
// to be elsewhere.
func CurrentNamespace() (*Namespace, error) { return OpenNamespace("/proc/self/ns/net") }

// OpenNamespace opens the namespace that path leads to: a bind mount as "ip netns" makes them, or /proc/PID/ns/net.
func OpenNamespace(path string) (*Namespace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	return newNamespace(f, path)
}

// NamespaceFromFD takes over an open descriptor; it is closed with the Namespace, or at once when it is not a network
// namespace.
func NamespaceFromFD(fd int) (*Namespace, error) {
	unix.CloseOnExec(fd)
	name := fmt.Sprintf("descriptor %d", fd)
	return newNamespace(os.NewFile(uintptr(fd), name), name)
}

func newNamespace(f *os.File, name string) (*Namespace, error) {
	fail := func(err error) (*Namespace, error) {
		_ = f.Close()
		return nil, fmt.Errorf("open network namespace %s: %w", name, err)
	}
	kind, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), nsGetType, 0)
	if errno != 0 {
		return fail(fmt.Errorf("not a namespace: %w", errno))
	}
	if kind != unix.CLONE_NEWNET {
		return fail(fmt.Errorf("a namespace of kind %#x, want a network namespace", kind))
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fail(err)
	}
	return &Namespace{file: f, name: name, dev: uint64(st.Dev), ino: st.Ino}, nil
}

// NewNamespace makes an anonymous namespace: it goes when it is closed and nothing else holds it. Its loopback is up.
func NewNamespace() (*Namespace, error) {
	var ns *Namespace
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		ns, err = newNamespace(f, "anonymous")
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := ns.loopbackUp(); err != nil {
		_ = ns.Close()
		return nil, err
	}
	return ns, nil
}

// NewNamedNamespace makes a namespace and binds it to path, which must not exist; its folder is made. It lives until
// RemoveNamespace.
func NewNamedNamespace(path string) (*Namespace, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make network namespace %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	_ = f.Close()
	ns, err := NewNamespace()
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	if err := unix.Mount(ns.Path(), path, "none", unix.MS_BIND, ""); err != nil {
		_ = ns.Close()
		_ = os.Remove(path)
		return nil, fmt.Errorf("bind network namespace to %s: %w", path, err)
	}
	ns.name = path
	return ns, nil
}

// RemoveNamespace takes back what NewNamedNamespace bound to path. A path that is not there is no error.
func RemoveNamespace(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount network namespace %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove network namespace: %w", err)
	}
	return nil
}

// FD is the open descriptor; it is the Namespace's to close.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Path leads to the namespace from within this process, while it is open.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/self/fd/%d", n.FD()) }

// String names it in errors.
func (n *Namespace) String() string { return n.name }

// ID is device and inode: what identifies a namespace while it lives.
func (n *Namespace) ID() (dev, ino uint64) { return n.dev, n.ino }

// Same says that both are the same namespace.
func (n *Namespace) Same(o *Namespace) bool { return n.dev == o.dev && n.ino == o.ino }

// Close lets go of it.
func (n *Namespace) Close() error { return n.file.Close() }

// Do runs fn on a thread inside the namespace and waits for it. The thread is thrown away after it: a thread that
// could not be moved back would otherwise serve unrelated goroutines from the wrong namespace. Goroutines that fn
// starts are not in the namespace; sockets that it opens stay there.
func (n *Namespace) Do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", n.name, err)
		}
		return fn()
	})
}

// within runs fn in ns, or right here when ns is nil.
func within(ns *Namespace, fn func() error) error {
	if ns == nil {
		return fn()
	}
	return ns.Do(fn)
}

var errThreadGone = errors.New("the function did not return")

// onThread runs fn on a thread of its own that ends with it. The process's first thread never serves: /proc/self
// stands for it, and the runtime cannot end it.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// Hold the first thread here, untouched, while another one does the work.
			done <- onThread(fn)
			runtime.UnlockOSThread()
			return
		}
		err := errThreadGone
		defer func() { done <- err }()
		err = fn()
	}()
	return <-done
}

func (n *Namespace) loopbackUp() error {
	h, err := Open(n)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.SetLinkUp("lo")
}
