package proof

import (
	"fmt"
	"slices"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/intent/trace"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane/planetest/cases"
)

// node is what a node knows: what calc made of the cluster's objects, as it reached the node.
type node struct {
	calc    *calc.Calc
	view    *trace.State
	objects map[intent.Ref]intent.Object // but sets
	sets    map[intent.Ref]map[intent.Member]bool
}

// newNode is a node whose objects come from a calc for its own span, or from a hub's for all nodes.
func newNode(span calc.Span) *node {
	return &node{
		calc: calc.New(span), view: trace.NewState(cases.Node),
		objects: map[intent.Ref]intent.Object{}, sets: map[intent.Ref]map[intent.Member]bool{},
	}
}

// apply takes updates in and carries what calc makes of them to the node.
func (n *node) apply(updates ...model.Update) {
	n.calc.Apply(updates...)
	changes := n.calc.Flush()
	n.view.Apply(changes)
	for _, c := range changes {
		if c.Nodes != nil && !slices.Contains(c.Nodes, cases.Node) {
			continue
		}
		switch o := c.Object.(type) {
		case nil:
			delete(n.objects, c.Ref)
			delete(n.sets, c.Ref)
		case *intent.Set:
			n.sets[c.Ref] = map[intent.Member]bool{}
			for _, m := range o.Members {
				n.sets[c.Ref][m] = true
			}
		case *intent.SetDelta:
			for _, m := range o.Remove {
				delete(n.sets[c.Ref], m)
			}
			for _, m := range o.Add {
				n.sets[c.Ref][m] = true
			}
		default:
			n.objects[c.Ref] = o
		}
	}
}

// endpoint is the tiers and profiles of a local endpoint.
func (n *node) endpoint(e cases.Endpoint) ([]intent.Tier, []string, error) {
	ref := intent.Ref{Kind: intent.KindHostEndpoint, ID: e.Key.Name}
	if w, ok := e.Value.(*model.WorkloadEndpoint); ok {
		ref = intent.Ref{Kind: intent.KindEndpoint, ID: w.ID.String()}
	}
	switch o := n.objects[ref].(type) {
	case *intent.Endpoint:
		return o.Tiers, o.Profiles, nil
	case *intent.HostEndpoint:
		return o.Tiers, o.Profiles, nil
	}
	return nil, nil, fmt.Errorf("the node has no %v", ref)
}
