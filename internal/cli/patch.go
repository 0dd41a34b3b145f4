package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/tortie-net/tortie/internal/model"
)

func (e environment) patchCommand() *cobra.Command {
	var namespace, text, file, kind string
	var flags writeFlags
	c := &cobra.Command{
		Use: "patch KIND NAME… -p PATCH", Short: "Change parts of objects",
		Long: `Changes parts of objects. A merge patch (RFC 7396) is an object whose fields replace those of the stored one; null
removes a field, a list replaces the whole list. A strategic patch is taken as a merge patch. A JSON patch (RFC 6902)
is a list of operations.`,
		Example: `  tortie patch ippool pods -p '{"spec":{"natOutgoing":true}}'
  tortie patch gnp a --type json -p '[{"op":"replace","path":"/spec/order","value":10}]'`,
		ValidArgsFunction: e.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			edit, err := patchOf(kind, text, file)
			if err != nil {
				return err
			}
			keys, err := namedKeys(args, namespace)
			if err != nil {
				return err
			}
			w, err := e.writer(c, flags)
			if err != nil {
				return err
			}
			defer w.store.Close()
			var errs []error
			for _, key := range keys {
				what, err := w.change(c.Context(), key, patched, edit)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				w.report(c.OutOrStdout(), key, what)
			}
			return errors.Join(errs...)
		},
	}
	c.Flags().StringVarP(&namespace, "namespace", "n", defaultNamespace, "namespace")
	c.Flags().StringVarP(&text, "patch", "p", "", "the patch, JSON or YAML")
	c.Flags().StringVar(&file, "patch-file", "", "file with the patch")
	c.Flags().StringVar(&kind, "type", "strategic", "strategic, merge or json")
	_ = c.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"strategic", "merge", "json"}, cobra.ShellCompDirectiveNoFileComp))
	flags.flags(c)
	return c
}

// patchOf reads a patch once, before anything is asked of the store.
func patchOf(kind, text, file string) (func(map[string]any) (any, error), error) {
	switch {
	case (text == "") == (file == ""):
		return nil, usagef("say what to change with -p PATCH or --patch-file FILE")
	case file != "":
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		text = string(raw)
	}
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, usagef("patch: must be JSON or YAML: %w", err)
	}
	switch kind {
	case "strategic", "merge":
		patch, err := parseTree(raw)
		if err != nil || patch == nil {
			return nil, usagef("patch: must be an object like {\"spec\":{…}}")
		}
		return func(tree map[string]any) (any, error) { return merge(tree, patch), nil }, nil
	case "json":
		var operations []jsonOperation
		if err := json.Unmarshal(raw, &operations); err != nil {
			return nil, usagef("patch: must be a list of operations like [{\"op\":\"replace\",\"path\":\"/spec/order\",\"value\":10}]: %w", err)
		}
		return func(tree map[string]any) (any, error) { return applyJSONPatch(tree, operations) }, nil
	}
	return nil, usagef("--type %q: must be strategic, merge or json", kind)
}

// merge is RFC 7396 §2.
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(t, k)
		} else {
			t[k] = merge(t[k], v)
		}
	}
	return t
}

// namedKeys is the objects that arguments name; at least one must be.
func namedKeys(args []string, namespace string) ([]model.Key, error) {
	targets, err := parseTargets(args)
	if err != nil {
		return nil, err
	}
	var keys []model.Key
	for _, t := range targets {
		if len(t.names) == 0 {
			return nil, usagef("%s: say which by name", t.kind.Plural)
		}
		for _, n := range t.names {
			keys = append(keys, t.key(n, namespace))
		}
	}
	return keys, nil
}

// jsonOperation is one operation of a JSON patch (RFC 6902 §4).
type jsonOperation struct {
	Op    string          `json:"op"`
	Path  *string         `json:"path"`
	From  *string         `json:"from"`
	Value json.RawMessage `json:"value"`
}

// pointer splits a JSON pointer (RFC 6901 §3).
func pointer(text *string) ([]string, error) {
	if text == nil {
		return nil, errors.New("is missing")
	}
	if *text == "" {
		return nil, nil
	}
	if !strings.HasPrefix(*text, "/") {
		return nil, fmt.Errorf("%q: must begin with /", *text)
	}
	parts := strings.Split((*text)[1:], "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts, nil
}
