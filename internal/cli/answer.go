package cli

import (
	"fmt"
)

// answer is explain's in JSON. Its fields are part of the interface: scripts read them.
type answer struct {
	Allowed  bool         `json:"allowed"` // in every family
	Revision uint64       `json:"revision,omitempty"`
	Flows    []flowAnswer `json:"flows"`
}

type flowAnswer struct {
	Family      string     `json:"family"`
	Allowed     bool       `json:"allowed"`
	Summary     string     `json:"summary"`
	Protocol    uint8      `json:"protocol"`
	Source      endAnswer  `json:"source"`
	Destination endAnswer  `json:"destination"`
	Egress      sideAnswer `json:"egress"`
	Ingress     sideAnswer `json:"ingress"`
	Route       route      `json:"route"`
	Defect      string     `json:"defect,omitempty"`
}

type endAnswer struct {
	Address  string `json:"address"`
	Port     uint16 `json:"port,omitempty"`
	Workload string `json:"workload,omitempty"`
	Object   string `json:"object,omitempty"`
	Node     string `json:"node,omitempty"`
	Assumed  bool   `json:"assumed,omitempty"`
}

type sideAnswer struct {
	Allowed bool           `json:"allowed"`
	Tier    string         `json:"tier,omitempty"`
	Policy  string         `json:"policy,omitempty"`
	Profile string         `json:"profile,omitempty"`
	Rule    int            `json:"rule"` // -1: no rule
	Source  string         `json:"source,omitempty"`
	Decides string         `json:"decides,omitempty"`
	Note    string         `json:"note,omitempty"`
	Steps   []stepAnswer   `json:"steps,omitempty"`
	Staged  []stagedAnswer `json:"staged,omitempty"`
}

type stepAnswer struct {
	Tier    string `json:"tier,omitempty"`
	Policy  string `json:"policy,omitempty"`
	Profile string `json:"profile,omitempty"`
	Rule    int    `json:"rule"`
	RuleID  string `json:"ruleID,omitempty"`
	Text    string `json:"text"`
	Source  string `json:"source,omitempty"`
}

type stagedAnswer struct {
	Tier    string `json:"tier"`
	Policy  string `json:"policy"`
	Action  string `json:"action"`
	Allowed bool   `json:"allowed"`
	Changes bool   `json:"changes"`
}

// answer is the report in JSON.
func (r *report) answer() answer {
	a := answer{Allowed: r.allowed(), Revision: uint64(r.revision)}
	for i := range r.flows {
		f := &r.flows[i]
		a.Flows = append(a.Flows, flowAnswer{
			Family: family(f.packet.Src), Allowed: f.allowed, Summary: r.verdict(f), Protocol: f.packet.Proto,
			Source: endOf(r.src, f.packet.Src, f.packet.SrcPort), Destination: endOf(r.dst, f.packet.Dst, f.packet.DstPort),
			Egress: r.sideAnswer(&f.egress), Ingress: r.sideAnswer(&f.ingress), Route: f.route, Defect: f.defect,
		})
	}
	return a
}

func endOf(s *side, addr fmt.Stringer, port uint16) endAnswer {
	e := endAnswer{Address: addr.String(), Port: port, Node: s.node, Assumed: s.assumed}
	if s.workload != nil {
		e.Workload, e.Object = s.workload.ID.String(), s.key.String()
	}
	return e
}

func (r *report) sideAnswer(j *judgement) sideAnswer {
	v := j.verdict
	a := sideAnswer{Allowed: v.Allowed, Tier: v.Tier, Policy: v.Policy, Profile: v.Profile, Rule: v.Rule, Decides: j.decides, Note: j.note}
	a.Source = r.source(v.Policy)
	for _, s := range j.steps {
		step := stepAnswer{Tier: s.Tier, Policy: s.Policy, Profile: s.Profile, Rule: s.Rule, Text: r.step(j, s), Source: r.source(s.Policy)}
		if s.RuleID != 0 {
			step.RuleID = s.RuleID.String()
		}
		a.Steps = append(a.Steps, step)
	}
	for _, s := range j.staged {
		a.Staged = append(a.Staged, stagedAnswer{Tier: s.Tier, Policy: s.Policy, Action: string(s.Action), Allowed: s.Verdict.Allowed, Changes: s.Changes})
	}
	return a
}

// source is where a policy of files stands.
func (r *report) source(policy string) string {
	if p := r.policies[policy]; p != nil {
		return r.places[p.Key]
	}
	return ""
}
