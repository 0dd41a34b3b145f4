package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/store"
)

// formats is what -o takes.
const formats = "table, wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=HEADER:PATH,…, go-template=TEMPLATE or go-template-file=FILE"

// row is an object that was asked for.
type row struct {
	store.Object
	kind convert.KindInfo
	tree map[string]any // nil where the stored bytes cannot be read
}

// printer writes objects in one format.
type printer struct {
	format, argument string
	noHeaders        bool
	showLabels       bool
	namespaces       bool // a column with the namespace
	template         *template.Template
	path             *jsonpath.JSONPath
	columns          []customColumn
	env              environment
}

type customColumn struct {
	header string
	path   *jsonpath.JSONPath
}

// outputFlags is the flags of a printer.
type outputFlags struct {
	output                string
	noHeaders, showLabels bool
}

func (f *outputFlags) flags(c *cobra.Command) {
	c.Flags().StringVarP(&f.output, "output", "o", "table", formats)
	c.Flags().BoolVar(&f.noHeaders, "no-headers", false, "no line of headers above tables")
	c.Flags().BoolVar(&f.showLabels, "show-labels", false, "labels as last column of tables")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{"table", "wide", "yaml", "json", "name", "jsonpath=", "custom-columns=", "go-template=", "go-template-file="},
		cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
}

// printer checks what -o says before anything is asked of the store.
func (e environment) printer(f outputFlags) (*printer, error) {
	p := &printer{noHeaders: f.noHeaders, showLabels: f.showLabels, env: e}
	p.format, p.argument, _ = strings.Cut(f.output, "=")
	var err error
	switch p.format {
	case "", "ps", "table":
		p.format = "table"
	case "wide", "yaml", "json", "name":
	case "jsonpath":
		p.path, err = parsePath("-o jsonpath", p.argument)
	case "go-template-file":
		var text []byte
		if text, err = os.ReadFile(p.argument); err == nil {
			p.format, p.argument = "go-template", string(text)
			p.template, err = template.New("output").Parse(p.argument)
		}
	case "go-template":
		if p.argument == "" {
			return nil, usagef("-o go-template: needs a template: -o go-template='{{.metadata.name}}'")
		}
		p.template, err = template.New("output").Parse(p.argument)
	case "custom-columns":
		p.columns, err = parseColumns(p.argument)
	default:
		return nil, usagef("-o %q: must be %s", f.output, formats)
	}
	if err != nil {
		return nil, usageError{err}
	}
	return p, nil
}

// parsePath reads a JSONPath template; a bare path stands for the template of it alone.
func parsePath(what, text string) (*jsonpath.JSONPath, error) {
	if text == "" {
		return nil, fmt.Errorf("%s: needs a path: {.metadata.name}", what)
	}
	if !strings.Contains(text, "{") {
		text = "{." + strings.TrimPrefix(text, ".") + "}"
	}
	p := jsonpath.New("path").AllowMissingKeys(true)
	if err := p.Parse(text); err != nil {
		return nil, fmt.Errorf("%s %q: %w", what, text, err)
	}
	return p, nil
}

func parseColumns(text string) ([]customColumn, error) {
	var out []customColumn
	for spec := range strings.SplitSeq(text, ",") {
		header, path, ok := strings.Cut(spec, ":")
		if !ok || header == "" || path == "" {
			return nil, fmt.Errorf("-o custom-columns: %q: must be HEADER:PATH, as in NAME:.metadata.name", spec)
		}
		p, err := parsePath("-o custom-columns", path)
		if err != nil {
			return nil, err
		}
		out = append(out, customColumn{header, p})
	}
	return out, nil
}

// print writes the rows. single says that one object was asked for by its name: it is then no list.
func (p *printer) print(w io.Writer, rows []row, single bool, revision store.Revision) error {
	switch p.format {
	case "table", "wide":
		return p.tables(w, rows)
	case "custom-columns":
		return p.custom(w, rows)
	case "name":
		for _, r := range rows {
			fmt.Fprintln(w, displayName(r.kind, r.Key.Name))
		}
		return nil
	}
	var data any
	readable := rows[:0:0]
	for _, r := range rows {
		if r.tree != nil {
			readable = append(readable, r)
		}
	}
	if single {
		if len(readable) == 0 {
			return nil
		}
		data = readable[0].tree
	} else {
		data = list(readable, revision)
	}
	switch p.format {
	case "json":
		if err := writeJSON(w, data); err != nil {
			return err
		}
	case "yaml":
		raw, err := yaml.Marshal(data)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s", raw)
	case "jsonpath":
		var b bytes.Buffer
		if err := p.path.Execute(&b, data); err != nil {
			return fmt.Errorf("-o jsonpath: %w", err)
		}
		fmt.Fprintln(w, strings.TrimSuffix(b.String(), "\n"))
	case "go-template":
		if err := p.template.Execute(w, data); err != nil {
			return fmt.Errorf("-o go-template: %w", err)
		}
	}
	return nil
}

// list is objects as one: of the kind's own list kind, or List where they are of several kinds.
func list(rows []row, revision store.Revision) map[string]any {
	items := make([]any, 0, len(rows))
	apiVersion, kind := "", ""
	for i, r := range rows {
		items = append(items, r.tree)
		v, _ := r.tree["apiVersion"].(string)
		k, _ := r.tree["kind"].(string)
		if i == 0 {
			apiVersion, kind = v, k+"List"
		} else if apiVersion != v || kind != k+"List" {
			apiVersion, kind = "v1", "List"
		}
	}
	if len(rows) == 0 {
		apiVersion, kind = "v1", "List"
	}
	metadata := map[string]any{}
	if revision != 0 {
		metadata["resourceVersion"] = fmt.Sprint(revision)
	}
	return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "items": items}
}

// displayName is "kind.group/name", as kubectl writes it.
func displayName(info convert.KindInfo, name string) string {
	if info.Kind == "KubernetesNetworkPolicy" {
		return "networkpolicy.networking.k8s.io/" + name
	}
	if group := apiGroup(info); group != "" {
		return info.Singular + "." + group + "/" + name
	}
	return info.Singular + "/" + name
}

// writeJSON writes a value for people and scripts: indented, selectors as they were written.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
