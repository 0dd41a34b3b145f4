package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// completionTimeout bounds how long a press of the tab key waits for the store.
const completionTimeout = time.Second

// completeTargets offers kinds first, then the names of that kind's objects.
func (e environment) completeTargets(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const done = cobra.ShellCompDirectiveNoFileComp
	if kind, _, ok := strings.Cut(typed, "/"); ok {
		info, err := lookupKind(kind)
		if err != nil {
			return nil, done
		}
		var out []cobra.Completion
		for _, n := range e.names(c, info, true) {
			out = append(out, kind+"/"+n)
		}
		return out, done
	}
	if len(args) == 0 {
		var out []cobra.Completion
		for _, info := range convert.Kinds() {
			description := info.APIVersion
			if len(info.Short) > 0 {
				description = strings.Join(info.Short[:min(2, len(info.Short))], ", ") + "; " + description
			}
			out = append(out, cobra.CompletionWithDesc(info.Plural, description))
		}
		return out, done
	}
	info, err := lookupKind(args[0])
	if err != nil {
		return nil, done
	}
	return e.names(c, info, false), done
}

// names lists the names of a kind's objects, with the namespace where more than one is meant.
func (e environment) names(c *cobra.Command, info convert.KindInfo, qualified bool) []string {
	ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
	defer cancel()
	s, err := e.open(ctx)
	if err != nil {
		return nil
	}
	defer s.Close()
	objects, _, err := s.List(ctx, store.Query{Kinds: []model.Kind{info.Kind}})
	if err != nil {
		return nil
	}
	namespace, _ := c.Flags().GetString("namespace")
	all, _ := c.Flags().GetBool("all-namespaces")
	var out []string
	for _, o := range objects {
		switch {
		case info.Namespaced && (all || qualified):
			out = append(out, o.Key.Namespace+"/"+o.Key.Name)
		case !info.Namespaced || o.Key.Namespace == namespace:
			out = append(out, o.Key.Name)
		}
	}
	return out
}

// completeFlows offers workloads as NAMESPACE/NAME.
func (e environment) completeFlows(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var out []cobra.Completion
	if len(args) < 2 {
		for _, kind := range []string{"pod", "workloadendpoint"} {
			if info, err := lookupKind(kind); err == nil {
				out = append(out, e.names(c, info, true)...)
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
