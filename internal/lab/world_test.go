package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The error names the one thing that is in the way, as far as the system shows it.
func TestMissing(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		err   error
		want  string
	}{
		{"no namespaces", nil, unix.EINVAL, "this kernel has none (CONFIG_USER_NS)"},
		{"Debian", map[string]string{"self/ns/user": "", "sys/kernel/unprivileged_userns_clone": "0\n"}, unix.EPERM,
			"sysctl kernel.unprivileged_userns_clone is 0, must be 1"},
		{"Ubuntu", map[string]string{"self/ns/user": "", "sys/kernel/unprivileged_userns_clone": "1\n", "sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"},
			unix.EACCES, "AppArmor forbids them"},
		{"limit of network namespaces", map[string]string{"self/ns/user": "", "sys/user/max_user_namespaces": "100\n", "sys/user/max_net_namespaces": "0\n"},
			unix.ENOSPC, "sysctl user.max_net_namespaces is 0"},
		{"limit reached", map[string]string{"self/ns/user": "", "sys/user/max_user_namespaces": "100\n"}, unix.ENOSPC, "a limit of the sysctls user.max_*_namespaces"},
		{"container", map[string]string{"self/ns/user": ""}, unix.EPERM, "seccomp profile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			proc := t.TempDir()
			for path, text := range c.files {
				file := filepath.Join(proc, path)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := missing(proc, c.err)
			if !strings.Contains(got, c.want) || !strings.HasSuffix(got, "as root every lab works") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
