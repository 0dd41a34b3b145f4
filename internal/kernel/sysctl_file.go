package kernel

import (
	"bytes"
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// A node has a dozen settings for each workload, and they are looked at again and again. The files of /proc/sys never
// block, so they are used by plain system calls: os.File would register each with the poller and take twice the time.

// sysctlBytes is room for the longest settings; the kernel gives the whole value in one read.
const sysctlBytes = 4096

// readSysctl returns the value without surrounding white space; it lies in buf.
func readSysctl(file string, buf []byte) ([]byte, error) {
	fd, err := openFile(file, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	value, err := readAtStart(fd, buf)
	return value, errors.Join(err, unix.Close(fd))
}

func readAtStart(fd int, buf []byte) ([]byte, error) {
	for {
		n, err := unix.Pread(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return bytes.TrimSpace(buf[:n]), nil
	}
}

// writeSysctl never creates: a missing setting is an error, also below a Root that is an ordinary folder.
func writeSysctl(file, value string) error {
	fd, err := openFile(file, unix.O_WRONLY|unix.O_TRUNC)
	if err != nil {
		return err
	}
	for {
		var n int
		n, err = unix.Write(fd, []byte(value+"\n"))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n <= len(value) {
			err = io.ErrShortWrite // the kernel takes a value whole or not at all
		}
		return errors.Join(err, unix.Close(fd))
	}
}

func openFile(file string, flags int) (int, error) {
	for {
		fd, err := unix.Open(file, flags|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// SysctlReader reads the same settings many times. It keeps their files open: reading again costs a fifth. Not for
// concurrent use.
type SysctlReader struct {
	of   Sysctls
	open map[string]int // path → descriptor
	room int            // descriptors that may be open
	buf  []byte
}

// mostKept bounds the open files; a process that may open less keeps a quarter of its limit. Settings beyond it are
// opened for each reading.
const mostKept = 8192

// Reader begins. Close ends it.
func (s Sysctls) Reader() *SysctlReader {
	r := &SysctlReader{of: s, open: map[string]int{}, room: mostKept, buf: make([]byte, sysctlBytes)}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur/4 < mostKept {
		r.room = int(limit.Cur / 4)
	}
	return r
}

// Each gives the values of those paths that can be read, without surrounding white space; a value is valid until each
// returns.
func (r *SysctlReader) Each(paths []string, each func(path string, value []byte)) {
	var closed []string
	for _, p := range paths {
		fd, ok := r.open[p]
		if !ok {
			closed = append(closed, p)
			continue
		}
		// A setting of an interface that went, or got another name, stays gone for who has it open.
		value, err := readAtStart(fd, r.buf)
		if err != nil {
			r.Forget(p)
			closed = append(closed, p)
			continue
		}
		each(p, value)
	}
	if len(closed) == 0 {
		return
	}
	_ = within(r.of.Namespace, func() error {
		for _, p := range closed {
			if value, err := r.first(p); err == nil {
				each(p, value)
			}
		}
		return nil
	})
}

// first opens and reads, in the namespace already.
func (r *SysctlReader) first(p string) ([]byte, error) {
	file, err := r.of.file(p)
	if err != nil {
		return nil, err
	}
	if len(r.open) >= r.room {
		return readSysctl(file, r.buf)
	}
	fd, err := openFile(file, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	value, err := readAtStart(fd, r.buf)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	r.open[p] = fd
	return value, nil
}

// Forget closes what is open of a setting that is no longer looked at.
func (r *SysctlReader) Forget(p string) {
	if fd, ok := r.open[p]; ok {
		_ = unix.Close(fd)
		delete(r.open, p)
	}
}

// Close closes all. The reader may be used again.
func (r *SysctlReader) Close() {
	for p := range r.open {
		r.Forget(p)
	}
}
