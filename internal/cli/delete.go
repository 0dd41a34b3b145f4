package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

func (e environment) deleteCommand() *cobra.Command {
	var where scope
	var from sources
	var flags writeFlags
	var every, skipMissing, force bool
	c := &cobra.Command{
		Use: "delete KIND NAME… | KIND/[NAMESPACE/]NAME… | KIND -l SELECTOR | -f FILE", Short: "Delete objects",
		Long: `Deletes objects. A pool is disabled first; while addresses of it are in use it stays, unless --force. A node's blocks
and tunnel addresses are given back. A tier that holds policies stays.`,
		ValidArgsFunction: e.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			targets, err := targetsOf(args, from, &where, c)
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
			if objects == nil && errors.Is(err, store.ErrUnavailable) {
				return err
			}
			var errs []error
			for _, missing := range each(errors.Join(err)) {
				if missing != nil && !(skipMissing && errors.Is(missing, store.ErrNotFound)) {
					errs = append(errs, missing)
				}
			}
			slices.SortStableFunc(objects, func(a, b store.Object) int { return deleteRank(a.Key.Kind) - deleteRank(b.Key.Kind) })
			for _, o := range objects {
				if err := w.delete(c.Context(), o, force); err != nil {
					if !skipMissing || !errors.Is(err, store.ErrNotFound) {
						errs = append(errs, err)
					}
					continue
				}
				w.report(c.OutOrStdout(), o.Key, deleted)
			}
			return errors.Join(errs...)
		},
	}
	where.flags(c)
	from.flags(c)
	flags.flags(c)
	c.Flags().BoolVar(&every, "all", false, "every object of the kind")
	c.Flags().BoolVar(&skipMissing, "skip-not-exists", false, "pass over objects that are not there")
	c.Flags().BoolVar(&skipMissing, "ignore-not-found", false, "the same")
	c.Flags().BoolVar(&force, "force", false, "delete a pool whose addresses are in use")
	return c
}

// deleteRank puts what is referred to after what refers to it.
func deleteRank(kind model.Kind) int {
	switch kind {
	case model.KindTier, model.KindBGPFilter:
		return 1
	case model.KindNamespace:
		return 2
	}
	return 0
}

// delete removes an object, with what the store keeps on its account.
func (w *writer) delete(ctx context.Context, o store.Object, force bool) error {
	if err := readOnly(o.Key); err != nil {
		return err
	}
	switch o.Key.Kind {
	case model.KindTier:
		if err := w.tierIsEmpty(ctx, o.Key); err != nil {
			return err
		}
	case model.KindIPPool:
		return w.deletePool(ctx, o, force)
	}
	if w.dryRun {
		return nil
	}
	if err := w.store.Delete(ctx, o.Key, 0); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = fmt.Errorf("%s: %w", subject(o.Key), store.ErrNotFound)
		}
		return err
	}
	if o.Key.Kind == model.KindNode {
		if err := ipam.New(w.store, "", ipam.Options{Handles: true}).ReleaseNode(ctx, o.Key.Name); err != nil {
			return fmt.Errorf("%s: is deleted, its addresses are not all given back: %w", subject(o.Key), err)
		}
	}
	return nil
}

// policyKinds are the kinds that name a tier.
var policyKinds = []model.Kind{
	model.KindNetworkPolicy, model.KindGlobalNetworkPolicy, model.KindStagedNetworkPolicy, model.KindStagedGlobalNetworkPolicy,
}

// tierIsEmpty refuses to delete built-in tiers and those that hold policies.
func (w *writer) tierIsEmpty(ctx context.Context, key model.Key) error {
	switch key.Name {
	case model.TierDefault, model.TierKubeAdmin, model.TierKubeBaseline:
		return fmt.Errorf("%s: is built in and cannot be deleted", subject(key))
	}
	objects, _, err := w.store.List(ctx, store.Query{Kinds: policyKinds})
	if err != nil {
		return err
	}
	for _, o := range objects {
		var tier string
		switch v := o.Value.(type) {
		case *v3.NetworkPolicy:
			tier = v.Spec.Tier
		case *v3.GlobalNetworkPolicy:
			tier = v.Spec.Tier
		case *v3.StagedNetworkPolicy:
			tier = v.Spec.Tier
		case *v3.StagedGlobalNetworkPolicy:
			tier = v.Spec.Tier
		}
		if tier == key.Name {
			return fmt.Errorf("%s: holds %s: delete or move its policies first", subject(key), subject(o.Key))
		}
	}
	return nil
}

// deletePool disables a pool, so that no address of it is given out any more, releases the affinities of its blocks and
// deletes it. A pool with addresses in use stays, disabled, unless force.
func (w *writer) deletePool(ctx context.Context, o store.Object, force bool) error {
	pool, ok := o.Value.(*v3.IPPool)
	if !ok { // its bytes cannot be read, so neither can its range: nothing was assigned from it
		if w.dryRun {
			return nil
		}
		return w.store.Delete(ctx, o.Key, 0)
	}
	if !pool.Spec.Disabled && !w.dryRun {
		if _, err := w.change(ctx, o.Key, configured, func(tree map[string]any) (any, error) {
			return merge(tree, map[string]any{"spec": map[string]any{"disabled": true}}), nil
		}); err != nil {
			return fmt.Errorf("disable before delete: %w", err)
		}
	}
	blocks, err := blocksOf(ctx, w.store, pool.Spec.CIDR)
	if err != nil {
		return err
	}
	used, first := 0, ""
	for _, b := range blocks {
		n, some := inUse(b.block)
		if used += n; first == "" {
			first = some
		}
	}
	if used > 0 && !force {
		what := "it is disabled now"
		if w.dryRun {
			what = "it would be disabled"
		}
		return fmt.Errorf("%s: %d of its addresses are in use (%s): %s: move the workloads, then delete it again; --force deletes it at once",
			subject(o.Key), used, first, what)
	}
	if w.dryRun {
		return nil
	}
	for _, b := range blocks {
		if n, _ := inUse(b.block); n > 0 {
			continue
		}
		if err := giveBack(ctx, w.store, b); err != nil {
			return fmt.Errorf("%s: give back block %s: %w", subject(o.Key), b.block.CIDR, err)
		}
	}
	return w.store.Delete(ctx, o.Key, 0)
}
