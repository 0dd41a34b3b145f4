package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// boxes is a table with lines around its cells, as calicoctl draws those of node and IPAM.
type boxes struct{ rows [][]string }

func newBoxes(header ...string) *boxes { return &boxes{rows: [][]string{header}} }

func (b *boxes) line(cells ...string) { b.rows = append(b.rows, cells) }

func (b *boxes) write(w io.Writer) {
	widths := make([]int, len(b.rows[0]))
	for _, row := range b.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rule := "+"
	for _, n := range widths {
		rule += strings.Repeat("-", n+2) + "+"
	}
	fmt.Fprintln(w, rule)
	for i, row := range b.rows {
		text := "|"
		for j, cell := range row {
			text += " " + cell + strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)) + " |"
		}
		fmt.Fprintln(w, text)
		if i == 0 {
			fmt.Fprintln(w, rule)
		}
	}
	fmt.Fprintln(w, rule)
}
