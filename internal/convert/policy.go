package convert

import (
	"fmt"
	"math"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// policySource is what the four tiered kinds have in common. Of a namespaced kind the global fields are empty.
type policySource struct {
	uid    string
	staged model.StagedAction
	v3.GlobalNetworkPolicySpec
}

// global is a namespaced policy's spec in the wider form.
func global(s *v3.NetworkPolicySpec) v3.GlobalNetworkPolicySpec {
	return v3.GlobalNetworkPolicySpec{
		Tier: s.Tier, Order: s.Order, Ingress: s.Ingress, Egress: s.Egress, Selector: s.Selector, Types: s.Types,
		ServiceAccountSelector: s.ServiceAccountSelector, PerformanceHints: s.PerformanceHints,
	}
}

// policyOf is the source of a policy; false for a value of another kind.
func policyOf(value any) (policySource, bool) {
	switch v := value.(type) {
	case *v3.NetworkPolicy:
		return policySource{string(v.UID), "", global(&v.Spec)}, true
	case *v3.GlobalNetworkPolicy:
		return policySource{string(v.UID), "", v.Spec}, true
	case *v3.StagedNetworkPolicy:
		return policySource{string(v.UID), stagedAction(v.Spec.StagedAction), global(&v.Spec.NetworkPolicySpec)}, true
	case *v3.StagedGlobalNetworkPolicy:
		return policySource{string(v.UID), stagedAction(v.Spec.StagedAction), v.Spec.GlobalNetworkPolicySpec}, true
	}
	return policySource{}, false
}

// stagedAction is the action with its default.
func stagedAction(a v3.StagedAction) model.StagedAction {
	if a == "" {
		return model.StagedSet
	}
	return model.StagedAction(a)
}

// policyModel converts a policy of one of the four tiered kinds. With a problem the policy isolates its subjects.
func policyModel(key model.Key, in policySource) (any, error) {
	p := &problems{key: key}
	policy := p.policy(in)
	err := p.err()
	if err != nil {
		isolate(policy, err)
		policy.DoNotTrack, policy.PreDNAT = false, false // the denial belongs where every packet comes by
	}
	return policy, err
}

func (p *problems) policy(in policySource) *model.Policy {
	out := &model.Policy{
		Key: p.key, UID: in.uid, Tier: tierName(in.Tier), Order: math.Inf(1), Staged: in.staged,
		DoNotTrack: in.DoNotTrack, PreDNAT: in.PreDNAT, ApplyOnForward: in.ApplyOnForward,
		AssumeNeededOnEveryNode: slices.Contains(in.PerformanceHints, v3.AssumeNeededOnEveryNode),
	}
	if in.Order != nil {
		out.Order = *in.Order
	}
	if in.staged != "" {
		p.stagedAction(in.staged)
	}
	for i, hint := range in.PerformanceHints {
		if hint != v3.AssumeNeededOnEveryNode {
			p.strictly(index("spec.performanceHints", i), string(hint), "%s", oneOf(string(v3.AssumeNeededOnEveryNode)))
		}
	}
	out.AppliesIngress, out.AppliesEgress = p.types(in.Types)
	out.Subject = p.policySubject(&in.GlobalNetworkPolicySpec)
	out.Ingress = p.rules("spec.ingress", in.Ingress, ruleScope{p.key.Namespace, model.Ingress})
	out.Egress = p.rules("spec.egress", in.Egress, ruleScope{p.key.Namespace, model.Egress})
	p.hostPolicy(&in.GlobalNetworkPolicySpec)
	return out
}

func tierName(tier string) string {
	if tier == "" {
		return model.TierDefault
	}
	return tier
}

func (p *problems) stagedAction(action model.StagedAction) {
	switch action {
	case model.StagedSet, model.StagedDelete, model.StagedLearn, model.StagedIgnore:
	default:
		p.add("spec.stagedAction", string(action), "%s", oneOf("Set", "Delete", "Learn", "Ignore"))
	}
}

// types are the directions of a policy: both when a stored one names none (R26).
func (p *problems) types(types []v3.PolicyType) (ingress, egress bool) {
	for i, t := range types {
		switch {
		case t != v3.PolicyTypeIngress && t != v3.PolicyTypeEgress:
			p.add(index("spec.types", i), string(t), "%s", oneOf("Ingress", "Egress"))
			ingress, egress = true, true
		case slices.Contains(types[:i], t):
			p.strictly(index("spec.types", i), string(t), "is named twice")
		case t == v3.PolicyTypeIngress:
			ingress = true
		default:
			egress = true
		}
	}
	if len(types) == 0 {
		return true, true
	}
	return ingress, egress
}

// policySubject is the whole selector of whom a policy is for (R28, R62). What cannot be parsed is left out: the
// subject is then wider, down to everything in the policy's scope.
func (p *problems) policySubject(spec *v3.GlobalNetworkPolicySpec) *selector.Selector {
	before := len(p.fields)
	subject := p.parseLocalSelector("spec.selector", spec.Selector)
	if s := p.parseLocalSelector("spec.namespaceSelector", spec.NamespaceSelector); s != nil {
		subject = and(subject, s.WithKeyPrefix(namespacePrefix)).ReplaceAll(selector.Has(model.LabelNamespace))
	}
	if s := p.parseLocalSelector("spec.serviceAccountSelector", spec.ServiceAccountSelector); s != nil {
		subject = and(subject, s.WithKeyPrefix(serviceAccountPrefix))
		if p.key.Namespace == "" {
			subject = subject.ReplaceAll(selector.Has(model.LabelServiceAccount))
		}
	}
	subject = and(subject, inNamespace(p.key.Namespace))
	switch {
	case subject != nil:
		return subject
	case len(p.fields) > before:
		return everyWorkload(p.key)
	}
	return selector.All()
}

// everyWorkload is all workload endpoints in the scope of a policy.
func everyWorkload(key model.Key) *selector.Selector {
	if key.Namespace != "" {
		return inNamespace(key.Namespace)
	}
	return selector.Has(model.LabelOrchestrator)
}

// hostPolicy checks the fields that are for host endpoints.
func (p *problems) hostPolicy(spec *v3.GlobalNetworkPolicySpec) {
	if spec.PreDNAT && spec.DoNotTrack {
		p.add("spec.preDNAT", nil, "cannot be combined with doNotTrack")
	}
	if spec.PreDNAT && len(spec.Egress) > 0 {
		p.add("spec.egress", nil, "must be empty: preDNAT policies have ingress rules only")
	}
	if spec.PreDNAT && slices.Contains(spec.Types, v3.PolicyTypeEgress) {
		p.add("spec.types", nil, "must not name Egress: preDNAT policies have ingress rules only")
	}
	if (spec.PreDNAT || spec.DoNotTrack) && !spec.ApplyOnForward {
		p.strictly("spec.applyOnForward", "false", "must be true with preDNAT or doNotTrack")
	}
}

// stagedKubernetesModel converts a staged Kubernetes NetworkPolicy.
func stagedKubernetesModel(key model.Key, in *v3.StagedKubernetesNetworkPolicy) (any, error) {
	p := &problems{key: key}
	action := stagedAction(in.Spec.StagedAction)
	p.stagedAction(action)
	policy := p.kubernetesPolicy(string(in.UID), kubernetesSpec(in))
	policy.Staged = action
	return policy, p.err()
}

// kubernetesSpec is what would be enforced.
func kubernetesSpec(in *v3.StagedKubernetesNetworkPolicy) *networkingv1.NetworkPolicySpec {
	return &networkingv1.NetworkPolicySpec{
		PodSelector: in.Spec.PodSelector, Ingress: in.Spec.Ingress, Egress: in.Spec.Egress, PolicyTypes: in.Spec.PolicyTypes,
	}
}

// Unreadable gives what stands for an object whose stored bytes cannot be decoded: for a policy one that isolates every
// workload endpoint in its scope, in tier default, ahead of what has an order; for other kinds nil. The error is the
// cause with the object's name.
func Unreadable(key model.Key, cause error) (any, error) {
	err := fmt.Errorf("%s: %w", subject(key), cause)
	policy := &model.Policy{Key: key, Tier: model.TierDefault, Order: math.Inf(-1)}
	switch key.Kind {
	case model.KindNetworkPolicy, model.KindGlobalNetworkPolicy:
		policy.Subject = everyWorkload(key)
	case model.KindStagedNetworkPolicy, model.KindStagedGlobalNetworkPolicy:
		policy.Subject, policy.Staged = everyWorkload(key), model.StagedSet
	case model.KindKubernetesNetworkPolicy, model.KindStagedKubernetesNetworkPolicy:
		policy.Subject = and(selector.Equals(model.LabelOrchestrator, orchestratorK8s), inNamespace(key.Namespace))
		policy.Order = kubernetesOrder
		if key.Kind == model.KindStagedKubernetesNetworkPolicy {
			policy.Staged = model.StagedSet
		}
	default:
		return nil, err
	}
	isolate(policy, cause)
	return policy, err
}
