package test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v3 "github.com/tortie-net/tortie/api/v3"
)

func page(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var (
	testDeclared = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	ruleRow      = regexp.MustCompile(`(?m)^\| R(\d+) \| .+ \| (.+) \|$`)
)

// Every rule is on docs/semantics.md once, and every test that it names exists.
func TestSemanticsPage(t *testing.T) {
	declared := map[string]bool{}
	if err := filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, m := range testDeclared.FindAllStringSubmatch(string(raw), -1) {
			declared[m[1]] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var want, got []int
	for _, r := range [][2]int{{1, 11}, {20, 32}, {40, 48}, {50, 56}, {60, 73}, {80, 86}, {90, 95}, {100, 100}, {102, 102}, {140, 146}} {
		for n := r[0]; n <= r[1]; n++ {
			want = append(want, n)
		}
	}
	shown := 0
	for _, m := range ruleRow.FindAllStringSubmatch(page(t, "semantics.md"), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
		if m[2] == "not yet" {
			continue
		}
		shown++
		for _, name := range strings.Split(m[2], ", ") {
			if !declared[strings.Trim(name, "`")] {
				t.Errorf("R%d: no test file declares %s", n, name)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page has rules %v, want %v", got, want)
	}
	t.Logf("%d of %d rules are shown by tests", shown, len(want))
}

// codeBlock is the first block of code of a language on a page.
func codeBlock(t *testing.T, text, language string) string {
	t.Helper()
	m := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$").FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("the page has no block of %s", language)
	}
	return m[1]
}

// changing is what differs from one run of the same lab to the next, and what stands for it.
var changing = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`counter packets \d+ bytes \d+`), "counter"},
	{regexp.MustCompile(` [0-9a-f]{12}"`), `"`}, // hash of content
	{regexp.MustCompile(` [0-9a-f]{16}"`), ` RULE"`},
	{regexp.MustCompile(`cali[0-9a-f]{11}`), "cali"},
	{regexp.MustCompile(`10\.244\.\d+\.\d+( |$)`), "ADDRESS "},
	{regexp.MustCompile(`elements = \{|[,}]`), ""},
}

// skeleton is the lines of a table without what changes, in order of the alphabet: sets and chains have none of their own.
func skeleton(table string) []string {
	var lines []string
	for _, line := range strings.Split(table, "\n") {
		line = strings.TrimSpace(line)
		for _, c := range changing {
			line = c.pattern.ReplaceAllString(line, c.instead)
		}
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// The table on docs/nftables.md is the one that the lab of that page has.
func TestNftablesPage(t *testing.T) {
	text := page(t, "nftables.md")
	l := startLab(t, strings.Replace(codeBlock(t, text, "yaml lab"), "name: nftables", "name: nft-page", 1))
	want := skeleton(codeBlock(t, text, "nft"))
	eventually(t, 10*time.Second, "the table of the page", func() error {
		got := skeleton(ruleset(t, l, "nf1"))
		for _, line := range want {
			if !slices.Contains(got, line) {
				return fmt.Errorf("the kernel's table lacks %q", line)
			}
		}
		for _, line := range got {
			if !slices.Contains(want, line) {
				return fmt.Errorf("the page lacks %q", line)
			}
		}
		return nil
	})
}

// docs/configuration.md has the parameters of FelixConfiguration that work, and no other.
func TestConfigurationPage(t *testing.T) {
	_, fields, _ := strings.Cut(page(t, "fields.md"), "\n## FelixConfiguration\n")
	fields, _, _ = strings.Cut(fields, "\n## ")
	var works, listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `spec\\.(\\w+)` \\| works").FindAllStringSubmatch(fields, -1) {
		works = append(works, m[1])
	}
	_, text, _ := strings.Cut(page(t, "configuration.md"), "## Parameters that work")
	text, _, _ = strings.Cut(text, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(text, -1) {
		listed = append(listed, m[1])
		if slices.Contains(v3.NotYet["FelixConfiguration"], "spec."+m[1]) {
			t.Errorf("%s is on the page and has no effect yet", m[1])
		}
	}
	if !slices.Equal(listed, works) || len(works) == 0 {
		t.Errorf("the page has %v, of the list works %v", listed, works)
	}
}

// docs/metrics.md has the names that an agent exports.
func TestMetricsPage(t *testing.T) {
	listed, exported := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (gauge|counter) \\|").FindAllStringSubmatch(page(t, "metrics.md"), -1) {
		listed[m[1]+" "+m[2]] = true
	}
	l := startLab(t, fmt.Sprintf(cniLab, "metrics"))
	ns, err := l.Namespace("metrics-1")
	if err != nil {
		t.Fatal(err)
	}
	out := inside(t, ns, "curl", "-s", "--unix-socket", filepath.Join(l.RunDir("metrics-1"), "query.sock"), "http://tortie/metrics")
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`).FindAllStringSubmatch(out, -1) {
		if !strings.HasPrefix(m[1], "go_") && !strings.HasPrefix(m[1], "process_") {
			exported[m[1]+" "+m[2]] = true
		}
	}
	if !maps.Equal(listed, exported) {
		t.Errorf("the page has %v\nan agent exports %v", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(exported)))
	}
}

// The flags, variables and objects on docs/install-by-etcd.md and docs/configuration.md are known and taken.
func TestInstallPage(t *testing.T) {
	text := page(t, "install-by-etcd.md") + page(t, "configuration.md")
	var help strings.Builder
	for _, args := range [][]string{{"agent", "--help"}, {"store", "--help"}, {"--help"}} {
		out, err := exec.Command(filepath.Join(bin, "tortie"), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		help.Write(out)
	}
	words := regexp.MustCompile(`--[a-z][a-z0-9-]+|\b(ETCD|TORTIE|DATASTORE)_[A-Z_]+\b`).FindAllString(text, -1)
	for _, word := range words {
		if !strings.Contains(help.String(), word) {
			t.Errorf("%s is on the page, and no help knows it", word)
		}
	}
	l := startLab(t, fmt.Sprintf(cniLab, "install"))
	objects := regexp.MustCompile("(?ms)^tortie apply -f - <<EOF\n(.*?)^EOF$").FindAllStringSubmatch(text, -1)
	for _, m := range objects {
		if out, code := applyText(t, l, m[1]); code != 0 || strings.Contains(out, "no effect") {
			t.Errorf("%s\nexit code %d:\n%s", m[1], code, out)
		}
	}
	if len(words) == 0 || len(objects) == 0 {
		t.Errorf("%d words and %d objects were found", len(words), len(objects))
	}
}
