package cli

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// none stands in a table where there is nothing.
const none = "<none>"

// tables writes one table per kind, parted by empty lines.
func (p *printer) tables(w io.Writer, rows []row) error {
	kinds := 0
	for start := 0; start < len(rows); {
		end := start
		for end < len(rows) && rows[end].Key.Kind == rows[start].Key.Kind {
			end++
		}
		if kinds++; kinds > 1 {
			fmt.Fprintln(w)
		}
		several := rows[0].Key.Kind != rows[len(rows)-1].Key.Kind
		if err := p.table(w, rows[start:end], several); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (p *printer) table(w io.Writer, rows []row, withKind bool) error {
	columns := columnsOf(rows[0].Key.Kind, p.format == "wide")
	t := newTable(w)
	var header []string
	if p.namespaces && rows[0].kind.Namespaced {
		header = append(header, "NAMESPACE")
	}
	header = append(header, "NAME")
	for _, c := range columns {
		header = append(header, c.header)
	}
	if p.showLabels {
		header = append(header, "LABELS")
	}
	if !p.noHeaders {
		t.line(header...)
	}
	for _, r := range rows {
		t.line(p.cells(r, columns, withKind)...)
	}
	return t.flush()
}

func (p *printer) cells(r row, columns []column, withKind bool) []string {
	var cells []string
	if p.namespaces && r.kind.Namespaced {
		cells = append(cells, r.Key.Namespace)
	}
	shown := r.Key.Name
	if withKind {
		shown = displayName(r.kind, shown)
	}
	cells = append(cells, shown)
	if r.tree == nil {
		return append(cells, "unreadable")
	}
	for _, c := range columns {
		cells = append(cells, c.cell(r.tree, p.env.now()))
	}
	if p.showLabels {
		cells = append(cells, text(lookup(r.tree, "metadata.labels")))
	}
	return cells
}

// custom writes the columns that the user named.
func (p *printer) custom(w io.Writer, rows []row) error {
	t := newTable(w)
	if !p.noHeaders {
		var header []string
		for _, c := range p.columns {
			header = append(header, c.header)
		}
		t.line(header...)
	}
	for _, r := range rows {
		if r.tree == nil {
			t.line(r.Key.Name, "unreadable")
			continue
		}
		var cells []string
		for _, c := range p.columns {
			found, err := c.path.FindResults(r.tree)
			if err != nil {
				return fmt.Errorf("-o custom-columns: %s: %w", c.header, err)
			}
			var values []string
			for _, results := range found {
				for _, v := range results {
					values = append(values, text(v.Interface()))
				}
			}
			cells = append(cells, strings.Join(values, ","))
		}
		t.line(cells...)
	}
	return t.flush()
}

// table aligns columns; an empty cell shows none.
type table struct {
	out    io.Writer
	buffer bytes.Buffer
	tabs   *tabwriter.Writer
}

func newTable(w io.Writer) *table {
	t := &table{out: w}
	t.tabs = tabwriter.NewWriter(&t.buffer, 1, 8, 3, ' ', 0)
	return t
}

func (t *table) line(cells ...string) {
	shown := make([]string, len(cells))
	for i, c := range cells {
		if c == "" {
			c = none
		}
		shown[i] = strings.Map(func(r rune) rune {
			if r == '\t' || r == '\n' || r == '\r' {
				return ' '
			}
			return r
		}, c)
	}
	fmt.Fprintln(t.tabs, strings.Join(shown, "\t"))
}

// flush writes what was gathered, without blanks at the ends of lines.
func (t *table) flush() error {
	if err := t.tabs.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(t.buffer.String()) {
		if _, err := fmt.Fprintln(t.out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// column is one of a kind's: a path in the tree, or alternatives parted by |, the first that is there counts.
type column struct {
	header string
	path   string
	wide   bool
	format func(value any, now time.Time) string
}

func (c column) cell(tree map[string]any, now time.Time) string {
	for path := range strings.SplitSeq(c.path, "|") {
		if v := lookup(tree, path); v != nil {
			if c.format != nil {
				return c.format(v, now)
			}
			return text(v)
		}
	}
	if c.format != nil {
		return c.format(nil, now)
	}
	return ""
}

// lookup follows a dotted path; a list in its way is followed in every item.
func lookup(tree any, path string) any {
	first, rest, more := strings.Cut(path, ".")
	switch v := tree.(type) {
	case map[string]any:
		next, ok := v[first]
		if !ok || !more {
			return next
		}
		return lookup(next, rest)
	case []any:
		var all []any
		for _, item := range v {
			if found := lookup(item, path); found != nil {
				all = append(all, found)
			}
		}
		if all == nil {
			return nil
		}
		return all
	}
	return nil
}

// text is a JSON value in a cell.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = text(item)
		}
		return strings.Join(parts, ",")
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+"="+text(v[k]))
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(v)
}

// age is the time since a timestamp, as kubectl shows it.
func age(v any, now time.Time) string {
	s, _ := v.(string)
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return ""
	}
	return span(now.Sub(at))
}

// span is a duration in one unit: 42s, 5m, 3h, 7d.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// columnsOf is a kind's columns for one width.
func columnsOf(kind model.Kind, wide bool) []column {
	var out []column
	for _, c := range columns(kind) {
		if !c.wide || wide {
			out = append(out, c)
		}
	}
	return out
}
