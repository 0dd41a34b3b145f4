package model

import (
	"net/netip"

	"github.com/tortie-net/tortie/internal/selector"
)

// Action is what a rule does to the packets that it matches.
type Action uint8

// The actions (R23). Log goes on with the next rule, Pass with the next tier.
const (
	Deny Action = iota
	Allow
	Pass
	Log
)

var actionNames = [...]string{"Deny", "Allow", "Pass", "Log"}

func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "Action(?)"
}

// Direction is seen from the endpoint: Ingress is towards it.
type Direction uint8

// The two directions.
const (
	Ingress Direction = iota
	Egress
)

func (d Direction) String() string {
	if d == Ingress {
		return "ingress"
	}
	return "egress"
}

// Tier is an ordered group of policies (R20 to R25).
type Tier struct {
	Name          string
	Order         float64 // +Inf when unset
	DefaultAction Action  // Deny or Pass
}

// The built-in tiers (R29).
const (
	TierDefault      = "default"
	TierKubeAdmin    = "kube-admin"
	TierKubeBaseline = "kube-baseline"
)

// StagedAction is what a staged policy would do if it were enforced.
type StagedAction string

// The staged actions; empty for an enforced policy.
const (
	StagedSet    StagedAction = "Set"
	StagedDelete StagedAction = "Delete"
	StagedLearn  StagedAction = "Learn"
	StagedIgnore StagedAction = "Ignore"
)

// Policy is an enforced or staged policy of any kind, converted.
type Policy struct {
	Key    Key
	UID    string // the object's UID; empty in old stores
	Tier   string
	Order  float64      // +Inf when unset (R21)
	Staged StagedAction // empty: enforced

	// Subject is the whole selector of the endpoints that the policy is for, its namespace and service account terms
	// included (R62).
	Subject *selector.Selector

	Ingress, Egress               []Rule
	AppliesIngress, AppliesEgress bool // from types (R26)

	DoNotTrack, PreDNAT, ApplyOnForward bool
	AssumeNeededOnEveryNode             bool // performanceHints

	// Invalid says why the rules could not be used as they stand; the policy then isolates its subjects: its rules are
	// one Deny in each direction that it applies to.
	Invalid string
}

// Rule is one rule of a policy or profile. All criteria that are set must match (R69).
type Rule struct {
	Action      Action
	IPVersion   uint8 // 4, 6, or 0 for both
	Protocol    uint8 // IANA number, 0: any
	NotProtocol uint8 // IANA number, 0: unset
	ICMP        ICMP
	NotICMP     ICMP
	Src, Dst    Entity
	Annotations map[string]string // metadata.annotations
}

// ICMP matches type and code (R93).
type ICMP struct {
	Set     bool
	Type    uint8
	HasCode bool
	Code    uint8
}

// Entity is one side of a rule.
type Entity struct {
	Nets    []netip.Prefix // any of them (R69)
	NotNets []netip.Prefix

	// Selector is the whole positive selector of this side (R63, and R65: a notSelector beside it is folded in); nil
	// when the side has none. NotSelector is set only without a positive one.
	Selector    *selector.Selector
	NotSelector *selector.Selector

	Ports    []Port // any of them (R80)
	NotPorts []Port

	Service *ServiceRef // R70
}

// Port is a range of numbers, or the name of a port of the matched endpoint (R81).
type Port struct {
	Min, Max uint16 // inclusive; both 0 for a name
	Name     string
}

// ServiceRef names a Kubernetes Service.
type ServiceRef struct{ Namespace, Name string }

// Profile is rules and labels that endpoints refer to by name (R50 to R56).
type Profile struct {
	Name            string
	Labels          map[string]string // inherited by the endpoints that name the profile
	Ingress, Egress []Rule
}

// ProfileDefaultAllow exists without being stored: it allows everything in both directions and has no labels.
const ProfileDefaultAllow = "projectcalico-default-allow"

// Namespace is a Kubernetes namespace; it stands for the profile "kns."+Name too (R50).
type Namespace struct {
	Name        string
	Labels      map[string]string // as on the object, without prefix
	Annotations map[string]string // those beginning with cni.projectcalico.org/
}

// Profile is the namespace as profile (R50).
func (n *Namespace) Profile() *Profile {
	labels := make(map[string]string, len(n.Labels)+1)
	for k, v := range n.Labels {
		labels["pcns."+k] = v
	}
	labels["pcns.projectcalico.org/name"] = n.Name
	return &Profile{
		Name:    "kns." + n.Name,
		Labels:  labels,
		Ingress: []Rule{{Action: Allow}},
		Egress:  []Rule{{Action: Allow}},
	}
}

// The labels that Tortie computes for endpoints and network sets (R52, R73).
const (
	LabelNamespace      = "projectcalico.org/namespace"
	LabelOrchestrator   = "projectcalico.org/orchestrator"
	LabelServiceAccount = "projectcalico.org/serviceaccount"
	LabelTier           = "projectcalico.org/tier"
)
