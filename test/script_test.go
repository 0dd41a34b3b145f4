package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin is the folder of the programs under test, built from this tree.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tortie-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		os.Setenv("TORTIE_LAB_ROOT", filepath.Join(dir, "labs")) // two runs of the tests do not meet
		args, cgo := []string{"build", "-o", dir + "/"}, "CGO_ENABLED=0"
		if os.Getenv("TORTIE_RACE") != "" { // the programs themselves under the race detector (make race)
			args, cgo = append(args, "-race"), "CGO_ENABLED=1"
			os.Setenv("GORACE", "log_path="+filepath.Join(dir, "race"))
		}
		build := exec.Command("go", append(args, "../cmd/tortie", "../cmd/tortie-cni")...)
		build.Env = append(os.Environ(), cgo)
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return max(m.Run(), races(dir))
	}())
}

// races prints what the race detector wrote of the programs and returns 1 if there is anything of ours. GoBGP has races of
// its own, in code that only it touches.
func races(dir string) int {
	files, _ := filepath.Glob(filepath.Join(dir, "race.*"))
	code := 0
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for _, report := range strings.Split(string(raw), "==================") {
			if strings.Contains(report, "DATA RACE") && !strings.Contains(report, "github.com/osrg/gobgp") {
				fmt.Fprintln(os.Stderr, report)
				code = 1
			}
		}
	}
	return code
}

func TestScripts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("these tests make network namespaces: run them as root")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TORTIE_LAB_ROOT", os.Getenv("TORTIE_LAB_ROOT"))
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return nil
		},
	})
}
