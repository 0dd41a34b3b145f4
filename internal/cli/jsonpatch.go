package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	kjson "k8s.io/apimachinery/pkg/util/json"
)

// applyJSONPatch does the operations of RFC 6902 in order on a tree, which it may change. The error names the operation.
func applyJSONPatch(tree any, operations []jsonOperation) (any, error) {
	for i, o := range operations {
		var err error
		if tree, err = o.apply(tree); err != nil {
			path := ""
			if o.Path != nil {
				path = " " + *o.Path
			}
			return nil, fmt.Errorf("patch operation %d (%s%s): %w", i, o.Op, path, err)
		}
	}
	return tree, nil
}

func (o jsonOperation) apply(tree any) (any, error) {
	path, err := pointer(o.Path)
	if err != nil {
		return nil, fmt.Errorf("path %w", err)
	}
	switch o.Op {
	case "remove":
		return edit(tree, path, removeAt)
	case "move", "copy":
		from, err := pointer(o.From)
		if err != nil {
			return nil, fmt.Errorf("from %w", err)
		}
		if o.Op == "move" && len(from) < len(path) && slices.Equal(from, path[:len(from)]) {
			return nil, errors.New("must not be inside of from")
		}
		value, err := find(tree, from)
		if err != nil {
			return nil, err
		}
		if o.Op == "move" {
			if tree, err = edit(tree, from, removeAt); err != nil {
				return nil, err
			}
		} else if value, err = clone(value); err != nil {
			return nil, err
		}
		return edit(tree, path, addAt(value))
	case "add", "replace", "test":
		if o.Value == nil {
			return nil, errors.New("value is missing")
		}
		var value any
		if err := kjson.Unmarshal(o.Value, &value); err != nil {
			return nil, fmt.Errorf("value: %w", err)
		}
		if o.Op == "add" {
			return edit(tree, path, addAt(value))
		}
		old, err := find(tree, path)
		if err != nil {
			return nil, err
		}
		if o.Op == "test" {
			if !reflect.DeepEqual(old, value) {
				return nil, fmt.Errorf("is not %s", o.Value)
			}
			return tree, nil
		}
		return edit(tree, path, replaceAt(value))
	}
	return nil, errors.New("must be add, remove, replace, move, copy or test")
}

func clone(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	err = kjson.Unmarshal(raw, &out)
	return out, err
}

// find is the value at a path.
func find(tree any, path []string) (any, error) {
	for _, part := range path {
		switch v := tree.(type) {
		case map[string]any:
			next, ok := v[part]
			if !ok {
				return nil, errNothing
			}
			tree = next
		case []any:
			n, err := position(part, len(v)-1)
			if err != nil {
				return nil, err
			}
			tree = v[n]
		default:
			return nil, errNothing
		}
	}
	return tree, nil
}

// errNothing: a path leads nowhere.
var errNothing = errors.New("there is nothing at this path")

// position is an index of a list, 0 to last.
func position(text string, last int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > last || len(text) > 1 && text[0] == '0' {
		return 0, fmt.Errorf("index %q: must be 0 to %d", text, last)
	}
	return n, nil
}

// edit changes the place at a path in its parent, and gives the tree back.
func edit(tree any, path []string, do func(parent any, part string) (any, error)) (any, error) {
	if len(path) == 0 {
		return nil, errors.New("path: must not be the whole object")
	}
	if len(path) == 1 {
		return do(tree, path[0])
	}
	switch v := tree.(type) {
	case map[string]any:
		next, ok := v[path[0]]
		if !ok {
			return nil, errNothing
		}
		changed, err := edit(next, path[1:], do)
		if err != nil {
			return nil, err
		}
		v[path[0]] = changed
		return v, nil
	case []any:
		n, err := position(path[0], len(v)-1)
		if err != nil {
			return nil, err
		}
		v[n], err = edit(v[n], path[1:], do)
		return v, err
	}
	return nil, errNothing
}

func removeAt(parent any, part string) (any, error) {
	switch v := parent.(type) {
	case map[string]any:
		if _, ok := v[part]; !ok {
			return nil, errNothing
		}
		delete(v, part)
		return v, nil
	case []any:
		n, err := position(part, len(v)-1)
		if err != nil {
			return nil, err
		}
		return slices.Delete(v, n, n+1), nil
	}
	return nil, errNothing
}

func addAt(value any) func(any, string) (any, error) {
	return func(parent any, part string) (any, error) {
		switch v := parent.(type) {
		case map[string]any:
			v[part] = value
			return v, nil
		case []any:
			if part == "-" {
				return append(v, value), nil
			}
			n, err := position(part, len(v))
			if err != nil {
				return nil, err
			}
			return slices.Insert(v, n, value), nil
		}
		return nil, errNothing
	}
}

func replaceAt(value any) func(any, string) (any, error) {
	return func(parent any, part string) (any, error) {
		switch v := parent.(type) {
		case map[string]any:
			v[part] = value
			return v, nil
		case []any:
			n, err := position(part, len(v)-1)
			if err != nil {
				return nil, err
			}
			v[n] = value
			return v, nil
		}
		return nil, errNothing
	}
}
