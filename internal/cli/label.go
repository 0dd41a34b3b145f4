package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/model"
)

func (e environment) labelCommand() *cobra.Command {
	var where scope
	var flags writeFlags
	var overwrite, remove, every bool
	c := &cobra.Command{
		Use: "label KIND NAME… KEY=VALUE… KEY-…", Short: "Set and remove labels",
		Example: `  tortie label node n1 rack=r7
  tortie label networkset -n shop partners region- --overwrite`,
		ValidArgsFunction: e.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			args, set, gone, err := labelArguments(args, remove)
			if err != nil {
				return err
			}
			targets, err := parseTargets(args)
			if err != nil {
				return err
			}
			for _, t := range targets {
				if len(t.names) == 0 && !every && where.labels == "" {
					return usagef("%s: say which by name, -l SELECTOR or --all", t.kind.Plural)
				}
			}
			if err := where.check(targets); err != nil {
				return err
			}
			w, err := e.writer(c, flags)
			if err != nil {
				return err
			}
			defer w.store.Close()
			w.quiet = true
			objects, _, err := where.fetch(c.Context(), w.store, targets)
			errs := []error{err}
			for _, o := range objects {
				what, err := w.change(c.Context(), o.Key, labelled, func(tree map[string]any) (any, error) {
					return tree, setLabels(tree, set, gone, overwrite)
				})
				if err != nil {
					errs = append(errs, err)
					continue
				}
				w.report(c.OutOrStdout(), o.Key, what)
			}
			return errors.Join(errs...)
		},
	}
	where.flags(c)
	flags.flags(c)
	c.Flags().BoolVar(&overwrite, "overwrite", false, "change labels that have another value")
	c.Flags().BoolVar(&remove, "remove", false, "remove the keys given, as KEY- does")
	c.Flags().BoolVar(&every, "all", false, "every object of the kind")
	return c
}

// labelArguments parts KIND and names from KEY=VALUE and KEY-. With remove the last arguments that are neither are keys.
func labelArguments(args []string, remove bool) (rest []string, set map[string]string, gone []string, err error) {
	set = map[string]string{}
	for i, arg := range args {
		key, value, isSet := strings.Cut(arg, "=")
		switch {
		case isSet && remove:
			return nil, nil, nil, usagef("%q: with --remove must be a key alone", arg)
		case isSet && key == "":
			return nil, nil, nil, usagef("%q: must be KEY=VALUE", arg)
		case isSet:
			set[key] = value
		case strings.HasSuffix(arg, "-") && len(arg) > 1 && i > 0:
			gone = append(gone, strings.TrimSuffix(arg, "-"))
		case len(set)+len(gone) > 0:
			return nil, nil, nil, usagef("%q: must be KEY=VALUE or KEY-, as the argument before it", arg)
		default:
			rest = append(rest, arg)
		}
	}
	if remove && len(gone) == 0 && len(rest) > 0 {
		least := 2 // KIND and NAME
		if strings.Contains(rest[0], "/") {
			least = 1
		}
		if len(rest) <= least {
			return nil, nil, nil, usagef("--remove: say which key")
		}
		gone, rest = rest[len(rest)-1:], rest[:len(rest)-1]
	}
	if len(set)+len(gone) == 0 {
		return nil, nil, nil, usagef("say which labels: KEY=VALUE sets one, KEY- removes one")
	}
	for _, k := range gone {
		if _, ok := set[k]; ok {
			return nil, nil, nil, usagef("label %q: is both set and removed", k)
		}
	}
	return rest, set, gone, nil
}

// setLabels changes the labels of a tree.
func setLabels(tree map[string]any, set map[string]string, gone []string, overwrite bool) error {
	metadata, ok := tree["metadata"].(map[string]any)
	if !ok {
		return errors.New("has no metadata")
	}
	labels, ok := metadata["labels"].(map[string]any)
	if !ok {
		labels = map[string]any{}
	}
	for _, k := range slices.Sorted(maps.Keys(set)) {
		if k == model.LabelTier {
			return fmt.Errorf("label %s: is computed from spec.tier", k)
		}
		if old, ok := labels[k]; ok && old != set[k] && !overwrite {
			return fmt.Errorf("label %s: is %v: --overwrite changes it", k, old)
		}
		labels[k] = set[k]
	}
	for _, k := range gone {
		delete(labels, k)
	}
	metadata["labels"] = labels
	return nil
}
