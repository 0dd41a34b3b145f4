package convert

import (
	"encoding/json"
	"fmt"
	"slices"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// notYet names the fields that a user set and that have no effect yet (v3.NotYet), each once. Fields that hold what they
// hold by default are not worth a word.
func notYet(key model.Key, given object) (paths []string, err error) {
	fields := v3.NotYet[string(key.Kind)]
	if len(fields) == 0 {
		return nil, nil
	}
	tree, err := treeOf(given)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject(key), err)
	}
	empty := registry.byKind[key.Kind].New()
	setDefaults(key, empty)
	usual, err := treeOf(empty)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject(key), err)
	}
	var defaults []string // path and value
	visit(usual, "", "", func(_, path string, value any) { defaults = append(defaults, path+"="+show(value)) })

	warned := make(map[string]bool)
	visit(tree, "", "", func(pattern, path string, value any) {
		if warned[pattern] || isZero(value) || slices.Contains(defaults, path+"="+show(value)) {
			return
		}
		if _, found := slices.BinarySearch(fields, pattern); !found {
			if _, isMap := value.(map[string]any); !isMap {
				return
			}
			if _, found := slices.BinarySearch(fields, pattern+"{}"); !found {
				return
			}
		}
		warned[pattern] = true
		paths = append(paths, path)
	})
	return paths, nil
}

// isZero says whether a JSON value is what a field holds when nobody set it. A false counts as set: where it is the
// default it is left out of the JSON.
func isZero(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case json.Number:
		return v == "0"
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
