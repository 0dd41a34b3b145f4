package trace

import (
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// StagedVerdict is what would become of the packet if one staged policy took effect and all else stayed.
type StagedVerdict struct {
	Tier    string
	Policy  string // the staged policy's ID
	Action  model.StagedAction
	Verdict model.Verdict // names the staged policy where it would decide
	Changes bool          // the verdict would allow what is denied, or deny what is allowed
}

// Staged is a verdict for every staged policy of these tiers, in order: one with action Set stands in its place instead
// of the enforced policy of the same name, one with action Delete removes that. Other staged actions change nothing
// and have no verdict here.
func Staged(v View, tiers []intent.Tier, profiles []string, dir model.Direction, p *model.Packet) []StagedVerdict {
	var verdicts []StagedVerdict
	var now model.Verdict
	for i := range tiers {
		ids := tiers[i].Ingress
		if dir == model.Egress {
			ids = tiers[i].Egress
		}
		for _, id := range ids {
			s := v.Policy(id)
			if s == nil || s.Staged != model.StagedSet && s.Staged != model.StagedDelete {
				continue
			}
			if verdicts == nil {
				now = Evaluate(v, tiers, profiles, dir, p)
			}
			w := walk{view: v, dir: dir, packet: p, staged: s}
			then := w.endpoint(tiers, profiles)
			verdicts = append(verdicts, StagedVerdict{tiers[i].Name, id, s.Staged, then, then.Allowed != now.Allowed})
		}
	}
	return verdicts
}

// enforced tells whether a policy counts in this walk.
func (w *walk) enforced(p *intent.Policy) bool {
	switch {
	case w.staged == nil:
		return p.Staged == ""
	case p.ID == w.staged.ID:
		return p.Staged == model.StagedSet
	}
	return p.Staged == "" && !replaces(w.staged.Key, p.Key)
}

// replaces tells whether a staged policy's key is that of an enforced one, but for the word Staged in its kind.
func replaces(staged, enforced model.Key) bool {
	kind, _ := strings.CutPrefix(string(staged.Kind), "Staged")
	return kind == string(enforced.Kind) && staged.Namespace == enforced.Namespace && staged.Name == enforced.Name
}
