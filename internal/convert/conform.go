package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// conformer fits a tree of JSON values to a Go type: it names the fields that the type has not and leaves them out,
// writes scalars of text fields as text (YAML makes a boolean of y), and says where a value has the wrong type.
type conformer struct {
	problems
	unknown []string
}

// maxUnknown bounds how many unknown fields of one object are listed.
const maxUnknown = 100

var jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()

func (c *conformer) object(tree any, info KindInfo) any {
	fitted := c.fit("", tree, reflect.TypeOf(info.New()).Elem())
	sort.Strings(c.unknown)
	return fitted
}

func (c *conformer) fit(path string, tree any, t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		if tree == nil {
			return nil
		}
		t = t.Elem()
	}
	if tree == nil {
		return nil
	}
	if reflect.PointerTo(t).Implements(jsonUnmarshaler) {
		return c.fitOpaque(path, tree, t)
	}
	switch t.Kind() {
	case reflect.Struct:
		return c.fitStruct(path, tree, t)
	case reflect.Map:
		return c.fitMap(path, tree, t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return c.fitOpaque(path, tree, t)
		}
		return c.fitSlice(path, tree, t)
	case reflect.Interface:
		return tree
	default:
		return c.fitScalar(path, tree, t)
	}
}

// fitOpaque tries a value on a type that reads itself.
func (c *conformer) fitOpaque(path string, tree any, t reflect.Type) any {
	raw, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(raw, reflect.New(t).Interface())
	}
	switch {
	case err == nil:
	case t == reflect.TypeFor[metav1.Duration]():
		c.add(path, show(tree), "must be a duration, as 1m30s or 500ms")
	case t == reflect.TypeFor[intstr.IntOrString]():
		c.add(path, show(tree), "must be a whole number or text")
	default:
		c.add(path, show(tree), "%v", err)
	}
	return tree
}

// bounds are the least and most of an integer type.
func bounds(t reflect.Type) string {
	bits := t.Bits()
	if t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uintptr {
		return fmt.Sprintf("0 to %d", uint64(math.MaxUint64)>>(64-bits))
	}
	return fmt.Sprintf("%d to %d", int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits))
}

func (c *conformer) fitStruct(path string, tree any, t reflect.Type) any {
	fields, ok := tree.(map[string]any)
	if !ok {
		c.add(path, show(tree), "must be an object")
		return nil
	}
	types := map[string]reflect.Type{}
	jsonFields(t, types)
	fitted := make(map[string]any, len(fields))
	for _, name := range sortedKeys(fields) {
		at := join(path, name)
		if fieldType, ok := types[name]; ok {
			fitted[name] = c.fit(at, fields[name], fieldType)
		} else if len(c.unknown) < maxUnknown {
			c.unknown = append(c.unknown, at)
		}
	}
	return fitted
}

// jsonFields gathers the JSON names of a struct's fields, those of embedded structs too.
func jsonFields(t reflect.Type, into map[string]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct, slices.Contains(strings.Split(options, ","), "inline"):
			jsonFields(embedded, into)
		case f.IsExported() && name != "-":
			if name == "" {
				name = f.Name
			}
			into[name] = f.Type
		}
	}
}

func (c *conformer) fitMap(path string, tree any, t reflect.Type) any {
	fields, ok := tree.(map[string]any)
	if !ok {
		c.add(path, show(tree), "must be an object")
		return nil
	}
	fitted := make(map[string]any, len(fields))
	for _, name := range sortedKeys(fields) {
		fitted[name] = c.fit(path+"["+shorten(name)+"]", fields[name], t.Elem())
	}
	return fitted
}

func (c *conformer) fitSlice(path string, tree any, t reflect.Type) any {
	items, ok := tree.([]any)
	if !ok {
		c.add(path, show(tree), "must be a list")
		return nil
	}
	fitted := make([]any, len(items))
	for i, item := range items {
		fitted[i] = c.fit(index(path, i), item, t.Elem())
	}
	return fitted
}

func (c *conformer) fitScalar(path string, tree any, t reflect.Type) any {
	number, isNumber := tree.(json.Number)
	switch t.Kind() {
	case reflect.String:
		return c.fitText(path, tree)
	case reflect.Bool:
		if _, ok := tree.(bool); ok {
			return tree
		}
		c.add(path, show(tree), "must be true or false")
	case reflect.Float32, reflect.Float64:
		if isNumber {
			if _, err := number.Float64(); err == nil {
				return tree
			}
		}
		c.add(path, show(tree), "must be a number")
	default:
		if isNumber && json.Unmarshal([]byte(number), reflect.New(t).Interface()) == nil {
			return tree
		}
		c.add(path, show(tree), "must be a whole number from %s", bounds(t))
	}
	return nil
}

// fitText takes text. Of labels and annotations it takes booleans and numbers too, as Calico's client does; in all other
// places they are more likely a slip: YAML reads y, n, yes, no, on and off as booleans.
func (c *conformer) fitText(path string, tree any) any {
	anything := strings.HasPrefix(path, "metadata.labels[") || strings.HasPrefix(path, "metadata.annotations[")
	switch v := tree.(type) {
	case string:
		return v
	case bool:
		if anything {
			return strconv.FormatBool(v)
		}
		c.add(path, show(tree), "must be text: put y, n, yes, no, on, off, true and false in quotes")
	case json.Number:
		if anything {
			return v.String()
		}
		c.add(path, show(tree), "must be text: put it in quotes")
	default:
		c.add(path, show(tree), "must be text")
	}
	return nil
}

// show is a JSON value as text, for messages.
func show(tree any) string {
	raw, err := json.Marshal(tree)
	if err != nil {
		return "?"
	}
	return shorten(string(raw))
}

func join(path, name string) string {
	if path == "" {
		return shorten(name)
	}
	return path + "." + shorten(name)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
