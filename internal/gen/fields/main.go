package main

import (
	"fmt"
	"os"
	"path/filepath"

	v3 "github.com/tortie-net/tortie/api/v3"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string) error {
	fields, err := load(root)
	if err != nil {
		return err
	}
	for name, text := range outputs(fields) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// load reads fields.txt and holds it against the types and the tests of the repository.
func load(root string) (map[string][]field, error) {
	list, err := os.Open(filepath.Join(root, "internal/gen/fields/fields.txt"))
	if err != nil {
		return nil, fmt.Errorf("read the list of fields: %w", err)
	}
	defer list.Close()
	entries, err := parse(list)
	if err != nil {
		return nil, err
	}
	fields, err := resolve(entries, v3.Kinds())
	if err != nil {
		return nil, err
	}
	declared, err := declaredTests(root)
	if err != nil {
		return nil, err
	}
	return fields, checkTests(fields, declared)
}
