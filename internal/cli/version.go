package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/obs"
)

func versionCommand() *cobra.Command {
	var modules bool
	var output string
	c := &cobra.Command{
		Use: "version", Short: "Show the version, and what the program is built from", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := builtFrom()
			w := c.OutOrStdout()
			switch output {
			case "":
			case "json":
				if !modules {
					v.Modules = nil
				}
				if err := writeJSON(w, v); err != nil {
					return err
				}
				return nil
			default:
				return usagef("-o %q: must be json, or left out", output)
			}
			fmt.Fprintf(w, "tortie %s\n", v.Version)
			if v.Commit != "" {
				fmt.Fprintf(w, "commit %s\n", v.Commit)
			}
			fmt.Fprintf(w, "%s %s\n", v.Go, v.Platform)
			if !modules {
				return nil
			}
			fmt.Fprintln(w, "\nTortie is licensed under Apache-2.0. It is built from these modules, each under the licence in its own repository:")
			t := newTable(w)
			t.line("MODULE", "VERSION")
			for _, m := range v.Modules {
				t.line(m.Path, m.Version)
			}
			return t.flush()
		},
	}
	c.Flags().BoolVar(&modules, "licenses", false, "list the modules that the program is built from")
	c.Flags().StringVarP(&output, "output", "o", "", "json")
	return c
}

// build is what is known of the program.
type build struct {
	Version  string   `json:"version"`
	Commit   string   `json:"commit,omitempty"`
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Modules  []module `json:"modules,omitempty"`
}

type module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

func builtFrom() build {
	b := build{Version: obs.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	built, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range built.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	for _, m := range built.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		b.Modules = append(b.Modules, module{m.Path, m.Version})
	}
	return b
}
