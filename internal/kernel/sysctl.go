package kernel

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ProcSys is where kernel settings are.
const ProcSys = "/proc/sys"

// Sysctls reads and writes kernel settings. Paths are relative to Root and have slashes, as "net/ipv4/ip_forward": an
// interface's name may hold dots. With a Namespace, settings below net/ are those of it.
type Sysctls struct {
	Root      string     // empty: ProcSys
	Namespace *Namespace // nil: the process's own
}

func (s Sysctls) file(p string) (string, error) {
	if p == "" || path.IsAbs(p) || path.Clean(p) != p || strings.HasPrefix(p, "..") {
		return "", fmt.Errorf("sysctl %q: not a path below %s", p, ProcSys)
	}
	root := s.Root
	if root == "" {
		root = ProcSys
	}
	return filepath.Join(root, p), nil
}

// Read returns a setting without surrounding white space. errors.Is(err, os.ErrNotExist) when there is none.
func (s Sysctls) Read(p string) (string, error) {
	file, err := s.file(p)
	if err != nil {
		return "", err
	}
	var raw []byte
	err = within(s.Namespace, func() (err error) {
		raw, err = os.ReadFile(file)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("sysctl %s: read: %w", p, unwrapPath(err))
	}
	return strings.TrimSpace(string(raw)), nil
}

// Write sets a setting.
func (s Sysctls) Write(p, value string) error {
	return s.WriteAll([]Setting{{p, value}})
}

// Setting is a path and its value.
type Setting struct{ Path, Value string }

// WriteAll sets several, in order, and stops at the first that fails.
func (s Sysctls) WriteAll(settings []Setting) error {
	return within(s.Namespace, func() error {
		for _, set := range settings {
			file, err := s.file(set.Path)
			if err != nil {
				return err
			}
			if err := writeSysctl(file, set.Value); err != nil {
				return fmt.Errorf("sysctl %s: write %q: %w", set.Path, set.Value, unwrapPath(err))
			}
		}
		return nil
	})
}

// ReadAll returns the values of those paths that exist.
func (s Sysctls) ReadAll(paths []string) (map[string]string, error) {
	values := make(map[string]string, len(paths))
	err := within(s.Namespace, func() error {
		here := Sysctls{Root: s.Root}
		for _, p := range paths {
			v, err := here.Read(p)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			values[p] = v
		}
		return nil
	})
	return values, err
}

// writeSysctl never creates: a missing setting is an error, also below a Root that is an ordinary folder.
func writeSysctl(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value + "\n")
	return errors.Join(err, f.Close())
}

// unwrapPath drops the file name that os puts into its errors: the caller's message has the setting's.
func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// IPv6Enabled says whether the namespace has IPv6: the kernel has it, and it is not disabled on all interfaces.
func IPv6Enabled(ns *Namespace) bool {
	v, err := Sysctls{Namespace: ns}.Read("net/ipv6/conf/all/disable_ipv6")
	return err == nil && v == "0"
}

// Release is the kernel's version, as "6.18.0".
func Release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
