package cli

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/intent/trace"
	"github.com/tortie-net/tortie/internal/model"
)

// report is the answer of explain.
type report struct {
	*engine
	src, dst *side
	service  service
	flows    []flow
}

// allowed says whether the flow is allowed in every family.
func (r *report) allowed() bool {
	return !slices.ContainsFunc(r.flows, func(f flow) bool { return !f.allowed })
}

// print writes the answer for people: the verdict first, then how it comes about.
func (r *report) print(w io.Writer) {
	differ := len(r.flows) == 2 && r.verdict(&r.flows[0]) != r.verdict(&r.flows[1])
	for i := range r.flows {
		f := &r.flows[i]
		prefix := ""
		if differ {
			prefix = family(f.packet.Src) + ": "
		}
		if i == 0 || differ {
			fmt.Fprintf(w, "%s%s\n", prefix, r.verdict(f))
		}
	}
	if differ {
		fmt.Fprintln(w, "The families differ.")
	}
	for i := range r.flows {
		f := &r.flows[i]
		fmt.Fprintf(w, "\n%s\n", r.headline(f))
		if f.defect != "" {
			fmt.Fprintf(w, "  DEFECT: the two evaluators of Tortie disagree, please report it: %s\n", f.defect)
		}
		if i > 0 && sameSteps(&r.flows[0], f) {
			fmt.Fprintf(w, "  as in %s\n", family(r.flows[0].packet.Src))
		} else {
			r.side(w, &f.egress)
			r.side(w, &f.ingress)
		}
		r.way(w, f)
	}
}

// sameSteps says whether two families are judged alike.
func sameSteps(a, b *flow) bool {
	alike := func(x, y *judgement) bool {
		return x.verdict == y.verdict && x.note == y.note && x.decides == y.decides && slices.Equal(x.steps, y.steps) &&
			slices.Equal(x.staged, y.staged)
	}
	return alike(&a.egress, &b.egress) && alike(&a.ingress, &b.ingress)
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// verdict is the first line: allowed or denied, and by what.
func (r *report) verdict(f *flow) string {
	var denials, grants []string
	for _, j := range []*judgement{&f.egress, &f.ingress} {
		what := r.decision(j)
		if !j.verdict.Allowed {
			denials = append(denials, what)
		} else if what != "" {
			grants = append(grants, what)
		}
	}
	switch {
	case len(denials) == 2:
		return fmt.Sprintf("Denied by %s; and on %v by %s", denials[0], model.Ingress, denials[1])
	case len(denials) == 1:
		return "Denied by " + denials[0]
	case len(grants) == 0:
		return "Allowed: no policy of the cluster is asked"
	}
	return "Allowed by " + strings.Join(grants, ", and by ")
}

// decision names what decided on one side; empty when nothing did.
func (r *report) decision(j *judgement) string {
	v := j.verdict
	switch {
	case j.decides != "":
		return j.decides
	case j.endpoint == nil:
		return ""
	case v.Policy != "":
		what := fmt.Sprintf("%v rule %d", j.direction, v.Rule)
		if p := r.policies[v.Policy]; p != nil && p.Invalid != "" {
			what = "it is invalid and isolates its subjects"
		} else if v.Rule < 0 {
			what = "it is missing"
		}
		return fmt.Sprintf("%s (tier %s): %s%s", policyName(v.Policy), v.Tier, what, r.place(v.Policy))
	case v.Tier != "":
		return r.endOfTier(j)
	case v.Profile != "":
		if p := r.profiles[v.Profile]; p == nil || p.Missing {
			return fmt.Sprintf("profile %s: it does not exist", v.Profile)
		}
		return fmt.Sprintf("profile %s: %v rule %d", v.Profile, j.direction, v.Rule)
	}
	return fmt.Sprintf("the end of %s's profiles: none allows it", j.end.name())
}

// endOfTier names the policies that make a tier count although none of their rules matched. One without rules is there to
// deny: it is named first.
func (r *report) endOfTier(j *judgement) string {
	ids := r.enforcedIn(j.endpoint, j.verdict.Tier, j.direction)
	without := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		p := r.policies[id]
		return p == nil || len(p.Ingress) > 0 && j.direction == model.Ingress || len(p.Egress) > 0 && j.direction == model.Egress
	})
	if len(ids) == 1 {
		without = ids
	}
	if len(without) != 1 {
		return fmt.Sprintf("tier %s: end of tier, no rule of %s matches", j.verdict.Tier, r.policyNames(ids))
	}
	named := without[0]
	text := fmt.Sprintf("%s (tier %s): end of tier", policyName(named), j.verdict.Tier)
	if others := slices.DeleteFunc(ids, func(id string) bool { return id == named }); len(others) > 0 {
		text += ", no rule of " + r.policyNames(others) + " matches"
	}
	return text + r.place(named)
}

// policyName is an ID, Kind/namespace/name, as people write it: "Kind namespace/name".
func policyName(id string) string {
	kind, name, _ := strings.Cut(id, "/")
	return kind + " " + name
}

func (r *report) policyNames(ids []string) string {
	names := make([]string, 0, len(ids))
	for _, id := range ids[:min(len(ids), 4)] {
		names = append(names, policyName(id))
	}
	if more := len(ids) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// place is where a policy of files stands, in brackets.
func (r *report) place(id string) string {
	if p := r.policies[id]; p != nil && r.places[p.Key] != "" {
		return " [" + r.places[p.Key] + "]"
	}
	return ""
}

// headline is the flow: protocol, both ends with addresses, where they are and who owns them.
func (r *report) headline(f *flow) string {
	return fmt.Sprintf("%s %s  %s -> %s", family(f.packet.Src), r.protocol(f), r.end(r.src, f.packet.Src, 0), r.end(r.dst, f.packet.Dst, f.packet.DstPort))
}

func (r *report) protocol(f *flow) string {
	if hasPorts(f.packet.Proto) && f.packet.DstPort == 0 {
		return protocolName(f.packet.Proto) + " without a port"
	}
	return protocolName(f.packet.Proto)
}

func (r *report) end(s *side, addr netip.Addr, port uint16) string {
	text := addr.String()
	if port != 0 {
		text = net.JoinHostPort(text, strconv.Itoa(int(port)))
	}
	switch {
	case s.workload != nil:
		on := "node " + s.node
		if s.node == unscheduled {
			on = "on no node yet"
		}
		if s.assumed {
			on += ", address assumed"
		}
		return fmt.Sprintf("%s (%s, %s)", s.name(), text, on)
	case s.host:
		return fmt.Sprintf("%s (node %s)", text, s.node)
	}
	return text + " (no workload)"
}

// side writes how one end judges.
func (r *report) side(w io.Writer, j *judgement) {
	word := "allowed"
	if !j.verdict.Allowed {
		word = "denied"
	}
	fmt.Fprintf(w, "  %v of %s: %s\n", j.direction, j.end.name(), word)
	if j.note != "" {
		fmt.Fprintf(w, "    %s\n", j.note)
	}
	if j.decides != "" {
		fmt.Fprintf(w, "    %s\n", j.decides)
	}
	if len(j.end.also) > 0 {
		fmt.Fprintf(w, "    the address is also that of %v\n", j.end.also)
	}
	r.steps(w, j)
	for _, s := range j.staged {
		then := "would not change it"
		if s.Changes {
			then = "would deny it"
			if s.Verdict.Allowed {
				then = "would allow it"
			}
		}
		fmt.Fprintf(w, "    staged %s (tier %s, %s): %s\n", policyName(s.Policy), s.Tier, s.Action, then)
	}
}

// steps writes the tiers, policies, profiles and rules that were consulted, in order; the one that decided is marked.
func (r *report) steps(w io.Writer, j *judgement) {
	if j.endpoint == nil {
		return
	}
	if len(j.steps) > 0 && j.steps[0].Tier == "" {
		fmt.Fprintf(w, "    no policy applies to its %v: its profiles decide\n", j.direction)
	}
	last := len(j.steps) - 1
	line := func(indent string, i int) {
		mark := ""
		if i == last {
			mark = "   <- decides"
		}
		fmt.Fprintf(w, "%s%s%s\n", indent, r.step(j, j.steps[i]), mark)
	}
	next := 0
	for _, t := range j.endpoint.Tiers {
		if next > last || j.steps[next].Tier != t.Name {
			continue // no policy of the tier counts in this direction, or another has decided
		}
		fmt.Fprintf(w, "    tier %s\n", t.Name)
		ids := t.Ingress
		if j.direction == model.Egress {
			ids = t.Egress
		}
		for _, id := range ids {
			if next > last || j.steps[next].Tier != t.Name {
				break // a rule has decided or passed on
			}
			r.policyHead(w, id, j.direction)
			for ; next <= last && j.steps[next].Policy == id; next++ {
				line("        ", next)
			}
		}
		for ; next <= last && j.steps[next].Tier == t.Name; next++ {
			line("      ", next)
		}
	}
	profile := ""
	for ; next <= last; next++ {
		if s := j.steps[next]; s.Profile != "" && s.Profile != profile {
			profile = s.Profile
			fmt.Fprintf(w, "    profile %s%s\n", profile, ofNamespace(profile))
		}
		line("      ", next)
	}
}

// policyHead names a policy that is consulted, and why it has no rules to show.
func (r *report) policyHead(w io.Writer, id string, dir model.Direction) {
	note := ""
	if p := r.policies[id]; p != nil && p.Staged == "" {
		rules := p.Ingress
		if dir == model.Egress {
			rules = p.Egress
		}
		switch {
		case p.Invalid != "":
			note = ": invalid: " + p.Invalid
		case len(rules) == 0:
			note = fmt.Sprintf(": has no %v rules", dir)
		}
	}
	fmt.Fprintf(w, "      %s%s%s\n", policyName(id), r.place(id), note)
}

// step is one line about what was consulted.
func (r *report) step(j *judgement, s trace.Step) string {
	unknown := ""
	if s.SetMissing {
		unknown = fmt.Sprintf(" (set %s is unknown)", s.Set)
	}
	switch s.Event {
	case trace.RuleMatched:
		return fmt.Sprintf("rule %d: %s: matches%s", s.Rule, r.rule(j, s), unknown)
	case trace.RuleFailed:
		return fmt.Sprintf("rule %d: %s: no match, %v%s", s.Rule, r.rule(j, s), s.Failed, unknown)
	case trace.PolicyNotEnforced:
		return "staged: not enforced"
	case trace.PolicyInvalid:
		return "denies everything, because it is invalid"
	case trace.PolicyMissing:
		return "is missing: denies"
	case trace.ProfileMissing:
		return "does not exist: denies"
	case trace.EndOfTier:
		return fmt.Sprintf("end of tier: no rule matched: %v", s.Action)
	case trace.EndOfProfiles:
		return "end of profiles: no rule matched: Deny"
	}
	return s.String()
}

// rule is the rule of a step in words.
func (r *report) rule(j *judgement, s trace.Step) string {
	var rules []intent.Rule
	if p := r.policies[s.Policy]; p != nil {
		rules = p.Ingress
		if j.direction == model.Egress {
			rules = p.Egress
		}
	} else if p := r.profiles[s.Profile]; p != nil {
		rules = p.Ingress
		if j.direction == model.Egress {
			rules = p.Egress
		}
	}
	for i := range rules {
		if rules[i].Index == s.Rule {
			return r.ruleText(&rules[i])
		}
	}
	return s.Action.String()
}

// way writes the route.
func (r *report) way(w io.Writer, f *flow) {
	from, to := f.route.From, f.route.To
	switch {
	case from == "" && to == "":
		fmt.Fprintln(w, "  route")
	case to == "" || from == to:
		fmt.Fprintf(w, "  route at node %s\n", from)
	case from == "":
		fmt.Fprintf(w, "  route to node %s\n", to)
	default:
		fmt.Fprintf(w, "  route from node %s to node %s\n", from, to)
	}
	for _, n := range f.route.Notes {
		fmt.Fprintf(w, "    %s\n", n)
	}
}

// ofNamespace says which namespace a profile stands for (R50).
func ofNamespace(profile string) string {
	if name, ok := strings.CutPrefix(profile, "kns."); ok {
		return " (namespace " + name + ")"
	}
	return ""
}
