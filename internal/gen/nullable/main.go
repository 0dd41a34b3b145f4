// Command nullable lets the elements of a list in a CRD be null: nullable FILE FIELD. controller-gen has a marker for
// fields that may be null and none for elements, and an API server refuses an IPAMBlock with a free address (null in
// spec.allocations) without it. Run by go generate in api/v3.
package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: nullable FILE FIELD")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	patched, err := patch(text, args[1])
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return os.WriteFile(args[0], patched, 0o644)
}

// patch adds "nullable: true" to the items of the list of scalars called field, which must exist exactly once.
func patch(text []byte, field string) ([]byte, error) {
	list := regexp.MustCompile(`(?m)^( +)` + regexp.QuoteMeta(field) + `:\n(?: +description:.*\n(?: {16,}\S.*\n)*?)? +items:\n( +)type: \w+\n`)
	found := list.FindAllSubmatchIndex(text, -1)
	if len(found) != 1 {
		return nil, fmt.Errorf("%d lists of scalars called %s, want 1", len(found), field)
	}
	indent := text[found[0][4]:found[0][5]]
	out := append([]byte{}, text[:found[0][4]]...)
	out = append(out, indent...)
	out = append(out, "nullable: true\n"...)
	return append(out, text[found[0][4]:]...), nil
}
