package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// fault is one planted fault.
type fault struct {
	file   string // below internal/
	source string // must be there exactly once
	with   string
	breaks string // what goes wrong, for people
	tests  suite
}

// suite is the runs of `go test` that must notice a fault, the likeliest first; the first that fails ends the search.
type suite [][]string

// The suites. The proof runs as a slice, which is enough for every fault of the table.
var (
	conversion = suite{{"./test/proof", "-run=TestConvertEqualsMeaning"}, {"./internal/convert"}}
	evaluation = suite{{"./test/proof", "-run=TestPolicyEqualsTrace"}}
	histories  = suite{{"./test/proof", "-run=TestHistoriesGiveOneIntent"}, {"./internal/calc/..."}}
	tracing    = suite{{"./internal/intent/trace"}, {"./test/proof", "-run=TestPolicyEqualsTrace"}}
	localizing = suite{{"./test/proof", "-run=TestEndpointBeforeAddress|TestOnlyPlainBlocks"}, {"./internal/intent/localize"}}
	kernel     = suite{{"./test/proof", "-run=TestPolicyEqualsKernel"}, {"./internal/plane/nft", "-run=TestContract|TestGenerated"}}
)

// proofCases is the number of packets that the proof tries for each fault.
const proofCases = "12000"

// testLimit ends a test that a fault made hang.
const testLimit = 2 * time.Minute

func main() {
	parallel := flag.Int("parallel", 2, "how many faults to try at once")
	only := flag.String("run", "", "try only the faults whose file or description matches this regular expression")
	flag.Parse()
	if err := run(*parallel, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// result is what became of one fault.
type result struct {
	by   string // the test that noticed it
	took time.Duration
	err  error
}

func run(parallel int, only string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("read -run: %w", err)
	}
	dir, err := os.MkdirTemp("", "tortie-mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	var table []fault
	for _, f := range faults() {
		if pattern.MatchString(f.file + " " + f.breaks) {
			table = append(table, f)
		}
	}
	if parallel < 1 || len(table) == 0 {
		return fmt.Errorf("%d faults, %d at once: must be at least one", len(table), parallel)
	}
	start, failed := time.Now(), 0
	if err := baseline(table); err != nil {
		return err
	}
	places := make(chan struct{}, parallel)
	var lock sync.Mutex
	var wait sync.WaitGroup
	for i, f := range table {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			r := try(filepath.Join(dir, fmt.Sprint(i)), f)
			lock.Lock()
			defer lock.Unlock()
			if r.err != nil {
				failed++
			}
			fmt.Println(line(f, r))
		})
	}
	wait.Wait()
	fmt.Printf("%d faults in %v, %d not found\n", len(table), time.Since(start).Round(time.Second), failed)
	if failed > 0 {
		return fmt.Errorf("%d of %d faults were not found", failed, len(table))
	}
	return nil
}

// baseline makes sure that the tests pass without a fault: else they would seem to notice every one.
func baseline(table []fault) error {
	done := map[string]bool{}
	for _, f := range table {
		for _, args := range f.tests {
			if name := strings.Join(args, " "); !done[name] {
				done[name] = true
				if out, err := test("", args); err != nil {
					return fmt.Errorf("go test %s fails without any fault:\n%s", name, out)
				}
			}
		}
	}
	return nil
}

func line(f fault, r result) string {
	found := r.by
	if r.err != nil {
		found = "NOT FOUND: " + r.err.Error()
	}
	return fmt.Sprintf("%-36s %-64s %5.1fs  %s", f.file, f.breaks, r.took.Seconds(), found)
}

// try plants a fault and runs its tests.
func try(dir string, f fault) (r result) {
	start := time.Now()
	defer func() { r.took = time.Since(start) }()
	overlay, err := plant(dir, f)
	if err != nil {
		return result{err: err}
	}
	for _, args := range f.tests {
		out, err := test(overlay, args)
		switch {
		case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
			return result{err: fmt.Errorf("it does not compile: %s", firstLines(out))}
		case err != nil:
			return result{by: failing(out)}
		}
	}
	return result{err: errors.New("every test passes")}
}

// plant writes the changed file and the overlay that puts it in the place of the original.
func plant(dir string, f fault) (string, error) {
	path, err := filepath.Abs(filepath.Join("internal", f.file))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), f.source); n != 1 {
		return "", fmt.Errorf("%q is %d times in the file, must be once", f.source, n)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	changed, overlay := filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(
		os.WriteFile(changed, []byte(strings.Replace(string(source), f.source, f.with, 1)), 0o600),
		os.WriteFile(overlay, text, 0o600))
}

// test runs `go test`; without an overlay, of the tree as it is.
func test(overlay string, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-vet=off", "-failfast", "-overlay=" + overlay}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "TORTIE_PROOF_CASES="+proofCases, "TORTIE_PROOF_SEED=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// failing is the name of the first test that failed.
func failing(out string) string {
	if m := regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`).FindStringSubmatch(out); m != nil {
		return m[1]
	}
	return firstLines(out)
}

func firstLines(out string) string {
	lines := strings.SplitN(strings.TrimSpace(out), "\n", 4)
	return strings.Join(lines[:min(len(lines), 3)], " | ")
}
