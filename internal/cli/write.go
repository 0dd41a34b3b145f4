package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// attempts is how often a change that others undercut is tried again.
const attempts = 8

// writer changes objects of a store.
type writer struct {
	store  store.Store
	dryRun bool
	quiet  bool // about fields without effect: the user did not write them now
	errs   io.Writer
	given  map[model.Key]bool // written, or to be written, in this run: references to them hold in a dry run too
}

// change is the words of what a writer did.
type change string

const (
	created    change = "created"
	configured change = "configured"
	replaced   change = "replaced"
	patched    change = "patched"
	labelled   change = "labeled"
	deleted    change = "deleted"
	unchanged  change = "unchanged"
	skipped    change = "skipped"
)

// writeFlags is the flags that all verbs that write have.
type writeFlags struct {
	dryRun string
}

func (f *writeFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.dryRun, "dry-run", "none", "none, client or server: check everything, write nothing")
	c.Flags().Lookup("dry-run").NoOptDefVal = "server"
	_ = c.RegisterFlagCompletionFunc("dry-run", cobra.FixedCompletions([]string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp))
}

// writer opens the store for writing.
func (e environment) writer(c *cobra.Command, f writeFlags) (*writer, error) {
	switch f.dryRun {
	case "none", "client", "server":
	default:
		return nil, usagef("--dry-run %q: must be none, client or server", f.dryRun)
	}
	s, err := e.open(c.Context())
	if err != nil {
		return nil, err
	}
	return &writer{store: s, dryRun: f.dryRun != "none", errs: c.ErrOrStderr(), given: map[model.Key]bool{}}, nil
}

// report prints what became of an object.
func (w *writer) report(out io.Writer, key model.Key, what change) {
	if w.dryRun {
		fmt.Fprintf(out, "%s %s (dry run)\n", key, what)
		return
	}
	fmt.Fprintf(out, "%s %s\n", key, what)
}

func (w *writer) warn(format string, args ...any) {
	fmt.Fprintf(w.errs, "warning: "+format+"\n", args...)
}

// mode is what a verb demands of the object that may be there.
type mode struct {
	create, update bool
	word           change // of an update
}

// readOnly refuses the kinds that only Tortie itself writes.
func readOnly(key model.Key) error {
	if key.Kind == model.KindClusterInformation {
		return fmt.Errorf("%s: is read-only: Tortie itself keeps it", subject(key))
	}
	return nil
}

// write brings one object into the store. The manifest's resourceVersion, where it has one, must be the stored one.
func (w *writer) write(ctx context.Context, m convert.Manifest, how mode) (change, error) {
	if info, ok := convert.Lookup(string(m.Key.Kind)); ok && !info.Namespaced && m.Key.Namespace != "" {
		_, _, err := convert.Prepare(m.Key, m.Value, nil) // says so by the field's name; the store only knows keys
		return "", err
	}
	if err := readOnly(m.Key); err != nil {
		return "", err
	}
	for range attempts { // somebody else may write at the same time
		old, err := w.store.Get(ctx, m.Key)
		exists := err == nil
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
		switch {
		case exists && !how.update:
			return "", fmt.Errorf("%s: %w", subject(m.Key), store.ErrExists)
		case !exists && !how.create:
			return "", fmt.Errorf("%s: %w", subject(m.Key), store.ErrNotFound)
		}
		if err := sameVersion(m, old, how); err != nil {
			return "", err
		}
		what, err := w.put(ctx, m, old, how.word)
		if !again(err) {
			return what, err
		}
	}
	return "", fmt.Errorf("%s: others change it all the time: %w", subject(m.Key), store.ErrConflict)
}

// again says whether an error is that of somebody else's write at the same moment.
func again(err error) bool {
	var conflict *store.ConflictError
	return errors.As(err, &conflict)
}

// put writes what a manifest says over what was read, or creates it when old has no revision.
func (w *writer) put(ctx context.Context, m convert.Manifest, old store.Object, word change) (change, error) {
	m, err := keepStatus(m, old)
	if err != nil {
		return "", err
	}
	value, warnings, err := convert.Prepare(m.Key, m.Value, old.Value)
	if err != nil {
		return "", err
	}
	if !w.quiet {
		for _, text := range warnings {
			w.warn("%s", text)
		}
	}
	if err := w.references(ctx, m.Key, value); err != nil {
		return "", err
	}
	w.given[m.Key] = true
	if old.Revision == 0 {
		if !w.dryRun {
			_, err = w.store.Create(ctx, m.Key, value)
		}
		return created, err
	}
	if old.Problem == nil {
		same, err := equal(m.Key, old.Value, value)
		if err != nil || same {
			return unchanged, err
		}
	}
	if !w.dryRun {
		_, err = w.store.Update(ctx, m.Key, value, old.Revision)
	}
	return word, err
}

// sameVersion holds a manifest with a resourceVersion to it.
func sameVersion(m convert.Manifest, old store.Object, how mode) error {
	o, ok := m.Value.(metav1.Object)
	if !ok || o.GetResourceVersion() == "" {
		return nil
	}
	version := o.GetResourceVersion()
	if old.Revision == 0 {
		if how.update {
			return nil // apply of a backup into an empty store
		}
		return fmt.Errorf("%s: metadata.resourceVersion %s: must be empty: the object is to be created", subject(m.Key), version)
	}
	if version != strconv.FormatUint(uint64(old.Revision), 10) {
		return fmt.Errorf("%s: metadata.resourceVersion %s: the object stands at %d, somebody has changed it: get it again", subject(m.Key), version, old.Revision)
	}
	return nil
}

// keepStatus gives a manifest without status that of the stored object: the status is not the user's to write.
func keepStatus(m convert.Manifest, old store.Object) (convert.Manifest, error) {
	if old.Value == nil {
		return m, nil
	}
	stored, err := treeOf(old)
	if err != nil || stored["status"] == nil {
		return m, err
	}
	raw, err := convert.Encode(m.Key, m.Value)
	if err != nil {
		return m, err
	}
	tree, err := parseTree(raw)
	if err != nil {
		return m, err
	}
	if status, ok := tree["status"].(map[string]any); ok && len(status) > 0 {
		return m, nil
	}
	tree["status"] = stored["status"]
	with, err := fromTree(m.Key, tree)
	if err != nil {
		return m, err
	}
	m.Value = with.Value
	return m, nil
}

// references checks what an object refers to, in the store and in what this run writes.
func (w *writer) references(ctx context.Context, key model.Key, value any) error {
	var failed error
	exists := func(k model.Key) bool {
		if w.given[k] {
			return true
		}
		_, err := w.store.Get(ctx, k)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			failed = err
		}
		return err == nil
	}
	var pools []*model.IPPool
	if key.Kind == model.KindIPPool {
		objects, _, err := w.store.List(ctx, store.Query{Kinds: []model.Kind{model.KindIPPool}})
		if err != nil {
			return err
		}
		for _, o := range objects {
			if m, _ := convert.Model(o.Key, o.Value); m != nil { // one that cannot be read gives no addresses
				if pool, ok := m.(*model.IPPool); ok {
					pools = append(pools, pool)
				}
			}
		}
	}
	err := convert.CheckReferences(key, value, exists, pools)
	if failed != nil {
		return failed
	}
	return err
}

// equal compares the stored forms of two values.
func equal(key model.Key, a, b any) (bool, error) {
	x, err := convert.Encode(key, a)
	if err != nil {
		return false, err
	}
	y, err := convert.Encode(key, b)
	return bytes.Equal(x, y), err
}

// manifestOf reads the JSON of one object.
func manifestOf(key model.Key, raw []byte) (convert.Manifest, error) {
	manifests, err := convert.ParseManifest(bytes.NewReader(raw), subject(key))
	if err != nil {
		return convert.Manifest{}, unplaced(key, err)
	}
	if len(manifests) != 1 || manifests[0].Key != key {
		return convert.Manifest{}, fmt.Errorf("%s: kind, name and namespace cannot be changed", subject(key))
	}
	return manifests[0], nil
}

// labelsOf is an object's labels.
func labelsOf(value any) map[string]string {
	if o, ok := value.(metav1.Object); ok {
		return o.GetLabels()
	}
	return nil
}
