package cases

import "github.com/tortie-net/tortie/internal/model"

// Policy is a policy as its author writes it. Its JSON is that of the object in the API, so that a test can read it as
// one. Spec is a *Spec or, for Kubernetes' own kind, a *KubernetesSpec.
type Policy struct {
	Key      model.Key `json:"-"`
	Metadata Metadata  `json:"metadata"`
	Spec     any       `json:"spec"`
}

// Metadata is an object's name and identity.
type Metadata struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// Spec is the spec of the four tiered kinds.
type Spec struct {
	Tier                   string   `json:"tier,omitempty"`
	Order                  *float64 `json:"order,omitempty"`
	Selector               *Expr    `json:"selector,omitempty"`
	NamespaceSelector      *Expr    `json:"namespaceSelector,omitempty"`
	ServiceAccountSelector *Expr    `json:"serviceAccountSelector,omitempty"`
	Types                  []string `json:"types,omitempty"`
	StagedAction           string   `json:"stagedAction,omitempty"`
	DoNotTrack             bool     `json:"doNotTrack,omitempty"`
	PreDNAT                bool     `json:"preDNAT,omitempty"`
	ApplyOnForward         bool     `json:"applyOnForward,omitempty"`
	Ingress                []Rule   `json:"ingress,omitempty"`
	Egress                 []Rule   `json:"egress,omitempty"`
}

// Rule is one rule.
type Rule struct {
	Action      string `json:"action"`
	IPVersion   int    `json:"ipVersion,omitempty"`
	Protocol    any    `json:"protocol,omitempty"` // a name or a number
	NotProtocol any    `json:"notProtocol,omitempty"`
	ICMP        *ICMP  `json:"icmp,omitempty"`
	NotICMP     *ICMP  `json:"notICMP,omitempty"`
	Source      Entity `json:"source,omitzero"`
	Destination Entity `json:"destination,omitzero"`
}

// ICMP is a type and, perhaps, a code.
type ICMP struct {
	Type int  `json:"type"`
	Code *int `json:"code,omitempty"`
}

// Entity is one side of a rule.
type Entity struct {
	Nets              []string  `json:"nets,omitempty"`
	NotNets           []string  `json:"notNets,omitempty"`
	Selector          *Expr     `json:"selector,omitempty"`
	NotSelector       *Expr     `json:"notSelector,omitempty"`
	NamespaceSelector *Expr     `json:"namespaceSelector,omitempty"`
	Ports             []any     `json:"ports,omitempty"` // numbers, "low:high", names
	NotPorts          []any     `json:"notPorts,omitempty"`
	Services          *Service  `json:"services,omitempty"`
	ServiceAccounts   *Accounts `json:"serviceAccounts,omitempty"`
}

// Service names a Service.
type Service struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

// Accounts selects service accounts.
type Accounts struct {
	Names    []string `json:"names,omitempty"`
	Selector *Expr    `json:"selector,omitempty"`
}

// KubernetesSpec is the spec of a Kubernetes NetworkPolicy.
type KubernetesSpec struct {
	PodSelector LabelSelector    `json:"podSelector"`
	PolicyTypes []string         `json:"policyTypes,omitempty"`
	Ingress     []KubernetesRule `json:"ingress,omitempty"`
	Egress      []KubernetesRule `json:"egress,omitempty"`
}

// KubernetesRule allows peers and ports.
type KubernetesRule struct {
	From  []Peer           `json:"from,omitempty"`
	To    []Peer           `json:"to,omitempty"`
	Ports []KubernetesPort `json:"ports,omitempty"`
}

// Peer is whom a Kubernetes rule allows.
type Peer struct {
	PodSelector       *LabelSelector `json:"podSelector,omitempty"`
	NamespaceSelector *LabelSelector `json:"namespaceSelector,omitempty"`
	IPBlock           *IPBlock       `json:"ipBlock,omitempty"`
}

// IPBlock is a net with exceptions.
type IPBlock struct {
	CIDR   string   `json:"cidr"`
	Except []string `json:"except,omitempty"`
}

// KubernetesPort is a port, a range, a name, or with only a protocol all of its ports.
type KubernetesPort struct {
	Protocol string `json:"protocol,omitempty"`
	Port     any    `json:"port,omitempty"`
	EndPort  int    `json:"endPort,omitempty"`
}

// LabelSelector is Kubernetes' own selector.
type LabelSelector struct {
	MatchLabels      map[string]string `json:"matchLabels,omitempty"`
	MatchExpressions []Requirement     `json:"matchExpressions,omitempty"`
}

// Requirement is one term of a LabelSelector.
type Requirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values,omitempty"`
}
