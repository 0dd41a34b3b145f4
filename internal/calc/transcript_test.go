package calc_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// TestTranscripts runs testdata/transcripts: "apply" takes objects and prints the changes, of the kinds given or, without, of all
// but a node's settings. A file begins with "span NODE" or "span all" and its nodes. Each file is then run again in
// other histories with the same end (design §5.1), which must leave the nodes with the same.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		var steps [][]model.Update
		var span calc.Span
		var nodes []string
		var c *calc.Calc
		var s *state
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "span":
				span, nodes = calc.Span{Node: d.CmdArgs[0].Key}, []string{d.CmdArgs[0].Key}
				if d.CmdArgs[0].Key == "all" {
					span, nodes = calc.Span{All: true}, nil
					for _, a := range d.CmdArgs[1:] {
						nodes = append(nodes, a.Key)
					}
				}
				c, s = calc.New(span), newState(nodes...)
				s.apply(c.Flush())
				return ""
			case "apply":
				updates, err := parseObjects(d.Input)
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				steps = append(steps, updates)
				c.Apply(updates...)
				changes := c.Flush()
				s.apply(changes)
				if again := c.Flush(); len(again) > 0 {
					d.Fatalf(t, "a second Flush gives %v", again)
				}
				return show(changes, d.CmdArgs)
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
		if len(s.faults) > 0 {
			t.Fatalf("faults:\n%s", strings.Join(s.faults, "\n"))
		}
		for name, history := range histories(steps) {
			if got := replay(span, nodes, history); got != s.String() {
				t.Errorf("%s: not the same end.\nas written:\n%s\n%s:\n%s", name, s, name, got)
			}
		}
	})
}

func show(changes []intent.Change, kinds []datadriven.CmdArg) string {
	var lines []string
	for _, c := range changes {
		own := c.Ref.Kind == intent.KindConfig || c.Ref.Kind == intent.KindBGP || c.Ref.Kind == intent.KindIPAM
		wanted := len(kinds) == 0 && !own
		for _, k := range kinds {
			wanted = wanted || k.Key == c.Ref.Kind.String()
		}
		if wanted {
			lines = append(lines, change(c))
		}
	}
	return strings.Join(lines, "\n")
}

// replay gives a history to a new Calc and returns what the nodes have in the end, and the faults on the way.
func replay(span calc.Span, nodes []string, history [][]model.Update) string {
	c, s := calc.New(span), newState(nodes...)
	for _, step := range history {
		c.Apply(step...)
		s.apply(c.Flush())
	}
	return s.String()
}

// histories are other ways to the end of some steps.
func histories(steps [][]model.Update) map[string][][]model.Update {
	all := slices.Concat(steps...)
	last := map[model.Key]any{}
	var keys []model.Key
	for _, u := range all {
		if _, known := last[u.Key]; !known {
			keys = append(keys, u.Key)
		}
		last[u.Key] = u.Value
	}
	out := map[string][][]model.Update{"squashed": {all}}
	for i := len(keys) - 1; i >= 0; i-- {
		out["reversed"] = append(out["reversed"], []model.Update{{Key: keys[i], Value: last[keys[i]]}})
	}
	for _, u := range all {
		gone := model.Update{Key: u.Key}
		out["split"] = append(out["split"], []model.Update{u})
		out["repeated"] = append(out["repeated"], []model.Update{u, u}, []model.Update{u})
		out["with deletions between"] = append(out["with deletions between"], []model.Update{u}, []model.Update{gone}, []model.Update{u})
		out["deleted and made at once"] = append(out["deleted and made at once"], []model.Update{gone, u, gone, u})
	}
	// Everything once, then everything gone, then everything again.
	var end, none []model.Update
	for _, k := range keys {
		end = append(end, model.Update{Key: k, Value: last[k]})
		none = append(none, model.Update{Key: k})
	}
	out["gone meanwhile"] = [][]model.Update{end, none, end}
	return out
}
