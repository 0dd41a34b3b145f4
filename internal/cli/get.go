package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

func (e environment) getCommand() *cobra.Command {
	var where scope
	var from sources
	var out outputFlags
	c := &cobra.Command{
		Use:   "get KIND[,KIND…] [NAME…] | KIND/[NAMESPACE/]NAME… | -f FILE",
		Short: "Show objects",
		Example: `  tortie get networkpolicies -A
  tortie get ippool default-ipv4-ippool -o yaml
  tortie get pods,workloadendpoints -n shop -l app=web -o wide
  tortie get nodes -o custom-columns=NAME:.metadata.name,IPV4:.spec.bgp.ipv4Address
  tortie get gnp --watch`,
		ValidArgsFunction: e.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			p, err := e.printer(out)
			if err != nil {
				return err
			}
			p.namespaces = where.all
			targets, err := targetsOf(args, from, &where, c)
			if err != nil {
				return err
			}
			if err := where.check(targets); err != nil {
				return err
			}
			s, err := e.open(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			objects, revision, err := where.fetch(c.Context(), s, targets)
			if objects == nil && err != nil {
				return err
			}
			rows, problems := rowsOf(objects)
			err = errors.Join(err, errors.Join(problems...))
			single := len(targets) == 1 && len(targets[0].names) == 1
			if len(rows) == 0 && err == nil && !single && (p.format == "table" || p.format == "wide") && !where.watch {
				fmt.Fprintln(c.ErrOrStderr(), "no objects found"+where.place(targets))
				return nil
			}
			if perr := p.print(c.OutOrStdout(), rows, single, revision); perr != nil {
				return errors.Join(perr, err)
			}
			if !where.watch {
				return err
			}
			return e.follow(c.Context(), s, p, where, targets, revision, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	where.flags(c)
	from.flags(c)
	out.flags(c)
	c.Flags().BoolVarP(&where.watch, "watch", "w", false, "go on, and show every change")
	return c
}

// place says where nothing was found.
func (s *scope) place(targets []target) string {
	for _, t := range targets {
		if t.kind.Namespaced && !s.all {
			return " in namespace " + s.namespace
		}
	}
	return ""
}

// targetsOf is what the arguments, or the objects of files, name.
func targetsOf(args []string, from sources, where *scope, c *cobra.Command) ([]target, error) {
	if len(from.files) == 0 {
		return parseTargets(args)
	}
	if len(args) > 0 {
		return nil, usagef("%q: give kinds and names, or -f, not both", args)
	}
	manifests, err := from.read(c.InOrStdin())
	if err != nil {
		return nil, err
	}
	var targets []target
	for _, m := range manifests {
		if err := place(&m, where.namespace, c.Flags().Changed("namespace")); err != nil {
			return nil, at(m, err)
		}
		info, err := lookupKindOf(m.Key)
		if err != nil {
			return nil, at(m, err)
		}
		targets = append(targets, target{info, []name{{m.Key.Namespace, m.Key.Name}}})
	}
	return targets, nil
}

// rowsOf makes what is shown; what cannot be read is a row too, with a problem.
func rowsOf(objects []store.Object) (rows []row, problems []error) {
	for _, o := range objects {
		info, err := lookupKindOf(o.Key)
		if err == nil && o.Problem != nil {
			err = fmt.Errorf("%s: the stored value cannot be read: %w", subject(o.Key), o.Problem)
		}
		r := row{Object: o, kind: info}
		if err == nil {
			r.tree, err = treeOf(o)
		}
		if err != nil {
			problems = append(problems, err)
		}
		rows = append(rows, r)
	}
	return rows, problems
}

// follow shows each change after a revision until the context ends.
func (e environment) follow(ctx context.Context, s store.Store, p *printer, where scope, targets []target, after store.Revision, w, errs io.Writer) error {
	match, err := where.matcher()
	if err != nil {
		return err
	}
	wanted := map[model.Kind]target{}
	var kinds []model.Kind
	for _, t := range targets {
		if old, ok := wanted[t.kind.Kind]; ok {
			t.names = append(t.names, old.names...)
		} else {
			kinds = append(kinds, t.kind.Kind)
		}
		wanted[t.kind.Kind] = t
	}
	p.noHeaders = true
	watch, err := s.Watch(ctx, store.Query{Kinds: kinds}, after)
	if err != nil {
		return err
	}
	defer watch.Stop()
	for batch := range watch.Batches() {
		for _, event := range batch.Events {
			if !where.concerns(wanted[event.Key.Kind], event, match) {
				continue
			}
			if event.Deleted {
				fmt.Fprintf(w, "%s deleted\n", event.Key)
				continue
			}
			rows, problems := rowsOf([]store.Object{event.Object})
			for _, err := range problems {
				fmt.Fprintln(errs, "tortie: "+err.Error())
			}
			if p.format == "yaml" {
				fmt.Fprintln(w, "---")
			}
			if err := p.print(w, rows, true, 0); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return nil // the user ended it
	}
	return fmt.Errorf("watch: %w", watch.Err())
}

// concerns says whether an event is of an object that was asked for.
func (s *scope) concerns(t target, e store.Event, match func(map[string]string) bool) bool {
	if t.kind.Namespaced && !s.all && len(t.names) == 0 && e.Key.Namespace != s.namespace {
		return false
	}
	if len(t.names) > 0 {
		named := false
		for _, n := range t.names {
			named = named || t.key(n, s.namespace) == e.Key
		}
		if !named {
			return false
		}
	}
	return e.Value == nil || match(labelsOf(e.Value))
}
