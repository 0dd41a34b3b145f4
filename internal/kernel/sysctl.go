package kernel

import (
	"fmt"
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
		raw, err = readSysctl(file, make([]byte, sysctlBytes))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("sysctl %s: read: %w", p, err)
	}
	return string(raw), nil
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
				return fmt.Errorf("sysctl %s: write %q: %w", set.Path, set.Value, err)
			}
		}
		return nil
	})
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
