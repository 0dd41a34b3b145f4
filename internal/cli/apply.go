package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

func (e environment) applyCommand() *cobra.Command {
	return e.fromFiles(&cobra.Command{
		Use: "apply -f FILE|FOLDER|-", Short: "Create objects, or change those that are there",
		Long: `Creates objects, or makes those that are there what the files say. A field that the file leaves out is gone
afterwards, or at its default; uid, creation time and status stay. With metadata.resourceVersion in the file, the
stored object must still be at that version.`,
		Example: "  tortie apply -f policies/ -R\n  tortie get gnp -o yaml | sed s/Deny/Allow/ | tortie apply -f -",
	}, mode{create: true, update: true, word: configured})
}

func (e environment) createCommand() *cobra.Command {
	return e.fromFiles(&cobra.Command{
		Use: "create -f FILE|FOLDER|-", Short: "Create objects; one that is there is an error",
	}, mode{create: true})
}

func (e environment) replaceCommand() *cobra.Command {
	return e.fromFiles(&cobra.Command{
		Use: "replace -f FILE|FOLDER|-", Short: "Replace objects that are there",
	}, mode{update: true, word: replaced})
}

// fromFiles makes a verb that writes what files hold.
func (e environment) fromFiles(c *cobra.Command, how mode) *cobra.Command {
	var from sources
	var flags writeFlags
	var namespace string
	var skipExists, skipMissing bool
	c.Args = cobra.NoArgs
	c.RunE = func(c *cobra.Command, _ []string) error {
		manifests, err := from.read(c.InOrStdin())
		if len(manifests) == 0 {
			return err
		}
		errs := []error{err}
		w, err := e.writer(c, flags)
		if err != nil {
			return err
		}
		defer w.store.Close()
		for _, m := range manifests {
			if err := place(&m, namespace, c.Flags().Changed("namespace")); err != nil {
				errs = append(errs, at(m, err))
				continue
			}
			for _, field := range m.Unknown {
				w.warn("%s:%d: %s: %s: there is no such field: left out", m.Source, m.Line, subject(m.Key), field)
			}
			what, err := w.write(c.Context(), m, how)
			switch {
			case skipExists && errors.Is(err, store.ErrExists), skipMissing && errors.Is(err, store.ErrNotFound):
				what, err = skipped, nil
			case errors.Is(err, store.ErrUnavailable):
				return errors.Join(append(errs, at(m, err))...)
			}
			if err != nil {
				errs = append(errs, at(m, err))
				continue
			}
			w.report(c.OutOrStdout(), m.Key, what)
		}
		return errors.Join(errs...)
	}
	from.flags(c)
	flags.flags(c)
	c.Flags().StringVarP(&namespace, "namespace", "n", defaultNamespace, "namespace of objects that name none")
	c.Flags().BoolVar(&from.skipEmpty, "skip-empty", false, "pass over files and folders without objects")
	if !how.update {
		c.Flags().BoolVar(&skipExists, "skip-exists", false, "pass over objects that are there")
	}
	if !how.create {
		c.Flags().BoolVar(&skipMissing, "skip-not-exists", false, "pass over objects that are not there")
	}
	return c
}

// change reads an object, has it changed as a JSON tree, and writes it, again when somebody was faster.
func (w *writer) change(ctx context.Context, key model.Key, word change, edit func(tree map[string]any) (any, error)) (change, error) {
	if err := readOnly(key); err != nil {
		return "", err
	}
	for range attempts {
		old, err := w.store.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			return "", fmt.Errorf("%s: %w", subject(key), store.ErrNotFound)
		}
		if err != nil {
			return "", err
		}
		if old.Problem != nil {
			return "", fmt.Errorf("%s: the stored value cannot be read: replace or delete it: %w", subject(key), old.Problem)
		}
		raw, err := convert.Encode(key, old.Value)
		if err != nil {
			return "", err
		}
		tree, err := parseTree(raw)
		if err != nil {
			return "", fmt.Errorf("%s: %w", subject(key), err)
		}
		edited, err := edit(tree)
		if err != nil {
			return "", fmt.Errorf("%s: %w", subject(key), err)
		}
		m, err := fromTree(key, edited)
		if err != nil {
			return "", err
		}
		for _, field := range m.Unknown {
			w.warn("%s: %s: there is no such field: left out", subject(key), field)
		}
		if err := sameVersion(m, old, mode{update: true}); err != nil {
			return "", err
		}
		what, err := w.put(ctx, m, old, word)
		if !again(err) {
			return what, err
		}
	}
	return "", fmt.Errorf("%s: others change it all the time: %w", subject(key), store.ErrConflict)
}

// unplaced takes the place in a text that no user wrote out of an error of the manifest reader.
func unplaced(key model.Key, err error) error {
	text := strings.ReplaceAll(err.Error(), subject(key)+":1: ", "")
	return errors.New(strings.ReplaceAll(text, "\n", "; "))
}
