package agent

import (
	"io/fs"
	"testing"
)

func TestCgroupLimit(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":        {map[string]string{"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n"}, 0},
		"own":         {map[string]string{"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "1000\n"}, 1000},
		"a parent's":  {map[string]string{"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "1000\n", "/sys/fs/cgroup/a/memory.max": "500\n"}, 500},
		"root":        {map[string]string{"/proc/self/cgroup": "0::/\n"}, 0},
		"no cgroups":  {nil, 0},
		"version one": {map[string]string{"/proc/self/cgroup": "4:memory:/a\n"}, 0},
	} {
		got := cgroupLimit(func(path string) ([]byte, error) {
			text, ok := c.files[path]
			if !ok {
				return nil, fs.ErrNotExist
			}
			return []byte(text), nil
		})
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
