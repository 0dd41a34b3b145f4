package convert

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// limit bounds one field. Path marks a list on the way by [], a map by {}. Only what is set is checked.
type limit struct {
	path        string
	words       []string // allowed texts
	fold        bool     // case of words does not matter
	ranged      bool     // least and most hold
	least, most int64
	length      int // longest text, in bytes
	items       int // longest list
	leastItems  int // shortest list
	cidr        bool
	pattern     string // regular expression that text must match; empty text means unset
}

// visit calls see for each value of a JSON tree with its path as in a limit and its own path.
func visit(tree any, pattern, path string, see func(pattern, path string, value any)) {
	if pattern != "" {
		see(pattern, path, tree)
	}
	switch v := tree.(type) {
	case map[string]any:
		for _, name := range sortedKeys(v) {
			visit(v[name], dotted(pattern, name), dotted(path, name), see)
		}
	case []any:
		for i, item := range v {
			visit(item, pattern+"[]", index(path, i), see)
		}
	}
}

func dotted(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// limits checks an object, as JSON tree, against the bounds of its kind. A field that was found wrong already is passed
// over.
func (p *problems) limits(tree any) {
	bounds := make(map[string]limit)
	for _, l := range limits(p.key.Kind) {
		bounds[l.path] = l
	}
	if len(bounds) == 0 {
		return
	}
	wrong := make(map[string]bool, len(p.fields))
	for _, f := range p.fields {
		wrong[f.Path] = true
	}
	visit(tree, "", "", func(pattern, path string, value any) {
		if l, ok := bounds[pattern]; ok && !wrong[path] {
			p.limit(path, value, &l)
		}
	})
}

func (p *problems) limit(path string, value any, l *limit) {
	switch v := value.(type) {
	case string:
		p.textLimit(path, v, l)
	case json.Number:
		if n, err := v.Int64(); l.ranged && (err != nil || n < l.least || n > l.most) {
			p.add(path, v, "must be %d to %d", l.least, l.most)
		}
	case []any:
		if l.items > 0 && len(v) > l.items {
			p.add(path, nil, "has %d entries: must have at most %d", len(v), l.items)
		}
		if len(v) < l.leastItems {
			p.add(path, nil, "has %d entries: must have at least %d", len(v), l.leastItems)
		}
	}
}

func (p *problems) textLimit(path, text string, l *limit) {
	if l.length > 0 && len(text) > l.length {
		p.add(path, text, "must be at most %d bytes, not %d", l.length, len(text))
		return
	}
	if l.words != nil && !slices.ContainsFunc(l.words, func(w string) bool { return w == text || l.fold && strings.EqualFold(w, text) }) {
		p.add(path, text, "%s", oneOf(slices.DeleteFunc(slices.Clone(l.words), func(w string) bool { return w == "" })...))
	}
	if l.cidr && text != "" {
		p.parseCIDR(path, text)
	}
	if l.pattern != "" && text != "" {
		if ok, err := regexp.MatchString(l.pattern, text); err != nil || !ok {
			p.add(path, text, "must match %s", l.pattern)
		}
	}
}
