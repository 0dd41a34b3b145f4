package convert

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// felixConfiguration gives each field that is set as text, in the form in which the environment and the configuration
// file would give it (spec/felix-parameters.md). Durations are Go's text, as "1m30s".
func (p *problems) felixConfiguration(v *v3.FelixConfiguration) *model.FelixConfiguration {
	out := &model.FelixConfiguration{Name: p.key.Name, Values: make(map[string]string)}
	raw, err := json.Marshal(v.Spec)
	if err != nil {
		p.add("spec", nil, "%v", err)
		return out
	}
	tree, err := jsonTree(raw)
	fields, ok := tree.(map[string]any)
	if err != nil || !ok {
		p.add("spec", nil, "must be an object")
		return out
	}
	for name, value := range fields {
		if text := parameterText(name, value); text != "" { // empty means unset; bpfLogLevel is always written
			out.Values[name] = text
		}
	}
	return out
}

// parameterText is the text of one parameter.
func parameterText(name string, value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		if len(v) == 0 && strings.HasPrefix(name, "failsafe") {
			return "none" // empty text would mean the default ports
		}
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = parameterText(name, item)
		}
		return strings.Join(parts, ",")
	case map[string]any:
		return structText(v)
	default:
		return fmt.Sprint(v)
	}
}

// structText writes the structures that parameters are made of: protocol:[net:]port, range min-max, name=timeout; any
// other as key=value pairs.
func structText(v map[string]any) string {
	text := func(key string) string {
		if v[key] == nil {
			return ""
		}
		return fmt.Sprint(v[key])
	}
	switch {
	case v["port"] != nil:
		parts := []string{strings.ToLower(text("protocol"))}
		if parts[0] == "" {
			parts[0] = "tcp"
		}
		if net := text("net"); net != "" {
			if strings.Contains(net, ":") {
				net = "[" + net + "]"
			}
			parts = append(parts, net)
		}
		return strings.Join(append(parts, text("port")), ":")
	case v["min"] != nil && v["max"] != nil:
		return text("min") + "-" + text("max")
	case v["name"] != nil && v["timeout"] != nil:
		return text("name") + "=" + text("timeout")
	}
	pairs := make([]string, 0, len(v))
	for key := range v {
		pairs = append(pairs, key+"="+text(key))
	}
	sort.Strings(pairs)
	return strings.Join(pairs, ",")
}
