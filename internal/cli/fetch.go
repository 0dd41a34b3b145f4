package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	kjson "k8s.io/apimachinery/pkg/util/json"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
	"github.com/tortie-net/tortie/internal/store"
)

// scope is the flags that say which objects of a kind are meant.
type scope struct {
	namespace string
	all       bool
	labels    string
	watch     bool // the revision that fetch returns must be one to watch after
}

func (s *scope) flags(c *cobra.Command) {
	c.Flags().StringVarP(&s.namespace, "namespace", "n", defaultNamespace, "namespace")
	c.Flags().BoolVarP(&s.all, "all-namespaces", "A", false, "all namespaces")
	c.Flags().StringVarP(&s.labels, "selector", "l", "", "labels: a selector (app == 'web' && has(tier)) or key=value,key,!key")
	c.MarkFlagsMutuallyExclusive("namespace", "all-namespaces")
}

// matcher says whether labels are meant.
func (s *scope) matcher() (func(map[string]string) bool, error) {
	if s.labels == "" {
		return func(map[string]string) bool { return true }, nil
	}
	if k, err := labels.Parse(s.labels); err == nil {
		return func(m map[string]string) bool { return k.Matches(labels.Set(m)) }, nil
	}
	sel, err := selector.Parse(s.labels)
	if err != nil {
		return nil, usagef("-l %q: must be a selector like app == 'web', or key=value,key,!key: %w", s.labels, err)
	}
	return func(m map[string]string) bool { return sel.Match(selector.Map(m)) }, nil
}

// check says what is wrong with the flags, before a store is asked.
func (s *scope) check(targets []target) error {
	for _, t := range targets {
		for _, n := range t.names {
			if s.all && t.kind.Namespaced && n.namespace == "" {
				return usagef("%s %q: a name alone is not enough with -A: must be NAMESPACE/NAME", t.kind.Singular, n.name)
			}
		}
	}
	_, err := s.matcher()
	return err
}

// fetch reads what the targets name. Objects that are not there are joined errors beside the others.
func (s *scope) fetch(ctx context.Context, st store.Store, targets []target) ([]store.Object, store.Revision, error) {
	match, err := s.matcher()
	if err != nil {
		return nil, 0, err
	}
	var out []store.Object
	var errs []error
	var kinds []model.Kind
	var named []model.Kind
	for _, t := range targets {
		if len(t.names) == 0 {
			kinds = append(kinds, t.kind.Kind)
		} else {
			named = append(named, t.kind.Kind)
		}
	}
	var revision store.Revision
	if s.watch && len(kinds) == 0 { // before the objects are read: a change in between is shown twice, not missed
		if _, revision, err = st.List(ctx, store.Query{Kinds: named}); err != nil {
			return nil, 0, err
		}
	}
	if len(kinds) > 0 {
		objects, at, err := st.List(ctx, store.Query{Kinds: kinds})
		if err != nil {
			return nil, 0, err
		}
		revision = at
		for _, o := range objects {
			if s.all || o.Key.Namespace == "" || o.Key.Namespace == s.namespace {
				out = append(out, o)
			}
		}
	}
	for _, t := range targets {
		for _, n := range t.names {
			key := t.key(n, s.namespace)
			o, err := st.Get(ctx, key)
			switch {
			case errors.Is(err, store.ErrUnavailable):
				return nil, 0, err
			case errors.Is(err, store.ErrNotFound):
				errs = append(errs, fmt.Errorf("%s: %w", subject(key), store.ErrNotFound))
			case err != nil:
				errs = append(errs, err)
			default:
				out = append(out, o)
			}
		}
	}
	out = slices.DeleteFunc(out, func(o store.Object) bool {
		if o.Problem != nil {
			return s.labels != "" // its labels are unknown
		}
		m, ok := o.Value.(metav1.Object)
		return ok && !match(m.GetLabels())
	})
	return out, revision, errors.Join(errs...)
}

// treeOf is an object as it is shown: its stored JSON with the resource version. A pool shows its defaults too, which
// older clients did not store.
func treeOf(o store.Object) (map[string]any, error) {
	value := o.Value
	if pool, ok := value.(*v3.IPPool); ok {
		if full, _, err := convert.Prepare(o.Key, pool, pool); err == nil {
			shown := pool.DeepCopy()
			if p, ok := full.(*v3.IPPool); ok {
				shown.Spec = p.Spec
			}
			value = shown
		}
	}
	raw, err := convert.Encode(o.Key, value)
	if err != nil {
		return nil, err
	}
	tree, err := parseTree(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject(o.Key), err)
	}
	if metadata, ok := tree["metadata"].(map[string]any); ok && o.Revision != 0 {
		metadata["resourceVersion"] = strconv.FormatUint(uint64(o.Revision), 10)
	}
	return tree, nil
}

// parseTree reads a JSON object; whole numbers are int64, others float64.
func parseTree(raw []byte) (map[string]any, error) {
	var tree map[string]any
	err := kjson.Unmarshal(raw, &tree)
	return tree, err
}

// fromTree is a tree as value of its kind, with the fields that the kind has not.
func fromTree(key model.Key, tree any) (convert.Manifest, error) {
	raw, err := json.Marshal(tree)
	if err != nil {
		return convert.Manifest{}, fmt.Errorf("%s: %w", subject(key), err)
	}
	return manifestOf(key, raw)
}
