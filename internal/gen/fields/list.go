package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	v3 "github.com/tortie-net/tortie/api/v3"
)

// entry is one line of fields.txt.
type entry struct {
	line      int
	kind      string
	pattern   string // a path, or a beginning of paths before "*"
	beginning bool
	test      string // empty: not yet
}

func (e entry) matches(path string) bool {
	if e.beginning {
		return strings.HasPrefix(path, e.pattern)
	}
	return path == e.pattern
}

// parse reads lines "Kind.path  works TestName" or "Kind.path  not yet". Empty lines and those that begin with # are
// passed over.
func parse(r io.Reader) ([]entry, error) {
	var entries []entry
	var errs []error
	scanner := bufio.NewScanner(r)
	for n := 1; scanner.Scan(); n++ {
		words := strings.Fields(scanner.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		e, err := parseLine(words)
		if err != nil {
			errs = append(errs, fmt.Errorf("fields.txt:%d: %w", n, err))
			continue
		}
		e.line = n
		entries = append(entries, e)
	}
	return entries, errors.Join(append(errs, scanner.Err())...)
}

func parseLine(words []string) (entry, error) {
	kind, path, _ := strings.Cut(words[0], ".")
	beginning := strings.HasSuffix(path, "*")
	e := entry{kind: kind, pattern: strings.TrimSuffix(path, "*"), beginning: beginning}
	switch state := words[1:]; {
	case path == "" || strings.Contains(e.pattern, "*"):
		return e, fmt.Errorf("%q: must be Kind.path, with * at the end only", words[0])
	case slices.Equal(state, []string{"not", "yet"}):
	case len(state) == 2 && state[0] == "works" && testName.MatchString(state[1]):
		e.test = state[1]
	default:
		return e, fmt.Errorf("%q: must be \"works TestName\" or \"not yet\"", strings.Join(state, " "))
	}
	return e, nil
}

var testName = regexp.MustCompile(`^Test[A-Z0-9]\w*$`)

// field is one path of a kind and the test that shows that it works, if any.
type field struct {
	path string
	test string
}

// resolve gives each path of each kind its entry. An exact path goes before a wildcard, a longer wildcard before a
// shorter one. It reports paths without an entry, entries without a path, and entries given twice.
func resolve(entries []entry, kinds []v3.Registration) (map[string][]field, error) {
	var errs []error
	used := make([]bool, len(entries))
	result := map[string][]field{}
	for _, kind := range kinds {
		for _, path := range paths(kind) {
			best := -1
			for i, e := range entries {
				if e.kind != kind.Kind || !e.matches(path) {
					continue
				}
				used[i] = true
				if best >= 0 && narrower(entries[best], e) == 0 {
					errs = append(errs, fmt.Errorf("fields.txt:%d: %s.%s is on line %d too", e.line, e.kind, e.pattern, entries[best].line))
				}
				if best < 0 || narrower(entries[best], e) < 0 {
					best = i
				}
			}
			if best < 0 {
				errs = append(errs, fmt.Errorf("%s.%s: in no line of fields.txt", kind.Kind, path))
				continue
			}
			result[kind.Kind] = append(result[kind.Kind], field{path: path, test: entries[best].test})
		}
	}
	for i, e := range entries {
		if !used[i] {
			errs = append(errs, fmt.Errorf("fields.txt:%d: %s.%s: no such field", e.line, e.kind, e.pattern))
		}
	}
	return result, errors.Join(errs...)
}

// narrower orders entries that match the same path: greater says less about other paths.
func narrower(a, b entry) int {
	if a.beginning != b.beginning {
		if a.beginning {
			return -1
		}
		return 1
	}
	return cmp.Compare(len(a.pattern), len(b.pattern))
}

// checkTests reports named tests that no test file declares.
func checkTests(fields map[string][]field, declared map[string]bool) error {
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(fields)) {
		for _, f := range fields[kind] {
			if f.test != "" && !declared[f.test] {
				errs = append(errs, fmt.Errorf("%s.%s: no test file declares %s", kind, f.path, f.test))
			}
		}
	}
	return errors.Join(errs...)
}
