package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
)

// defaultNamespace is where objects of kinds with namespaces are when nobody says otherwise.
const defaultNamespace = "default"

// sources is the flags that name manifests.
type sources struct {
	files     []string
	recursive bool
	skipEmpty bool // files and folders without objects are no error
}

func (s *sources) flags(c *cobra.Command) {
	c.Flags().StringArrayVarP(&s.files, "filename", "f", nil, "file, folder, or - for standard input; may be given several times")
	c.Flags().BoolVarP(&s.recursive, "recursive", "R", false, "folders with all the folders in them")
	_ = c.MarkFlagFilename("filename", "yaml", "yml", "json")
}

// read reads the manifests. What can be read is returned also when something else cannot.
func (s *sources) read(stdin io.Reader) ([]convert.Manifest, error) {
	if len(s.files) == 0 {
		return nil, usagef("say what with -f FILE, -f FOLDER or -f - (standard input)")
	}
	var out []convert.Manifest
	var errs []error
	take := func(r io.Reader, source string) {
		ms, err := convert.ParseManifest(r, source)
		out = append(out, ms...)
		errs = append(errs, err)
	}
	for _, path := range s.files {
		if path == "-" {
			take(stdin, "standard input")
			continue
		}
		names, err := s.expand(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			take(f, name)
			errs = append(errs, f.Close())
		}
	}
	err := errors.Join(errs...)
	if len(out) == 0 && err == nil && !s.skipEmpty {
		err = fmt.Errorf("%s: no objects in it", strings.Join(s.files, ", "))
	}
	return out, err
}

// expand lists a folder's manifests in the order of their names; a file is itself.
func (s *sources) expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var names []string
	err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			if p != path && !s.recursive {
				return fs.SkipDir
			}
		case slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(p))):
			names = append(names, p)
		}
		return nil
	})
	if err == nil && len(names) == 0 && !s.skipEmpty {
		err = fmt.Errorf("folder %s: no .yaml, .yml or .json file in it", path)
	}
	return names, err
}

// place puts a manifest into a namespace: its own, else that of -n, else "default". given says that -n was set; then the
// two must agree.
func place(m *convert.Manifest, namespace string, given bool) error {
	info, err := lookupKindOf(m.Key)
	if err != nil || !info.Namespaced {
		return err
	}
	switch {
	case m.Key.Namespace == "":
		m.Key.Namespace = namespace
		if o, ok := m.Value.(metav1.Object); ok {
			o.SetNamespace(namespace)
		}
	case given && m.Key.Namespace != namespace:
		return fmt.Errorf("%s: is in another namespace than -n %s", subject(m.Key), namespace)
	}
	return nil
}

// lookupKindOf is the kind of a key.
func lookupKindOf(key model.Key) (convert.KindInfo, error) {
	for _, info := range convert.Kinds() {
		if info.Kind == key.Kind {
			return info, nil
		}
	}
	return convert.KindInfo{}, fmt.Errorf("%s: the kind is not known", subject(key))
}

// at says where a manifest stands, before an error about it.
func at(m convert.Manifest, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s:%d: %w", m.Source, m.Line, err)
}
