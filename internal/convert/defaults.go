package convert

import (
	"encoding/json"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// annotationMetadata holds the name of a policy as its user gave it (spec/store-layout.md trap 2).
const annotationMetadata = "projectcalico.org/metadata"

// leakGracePeriod is how long an address must look leaked before controllers take it back.
const leakGracePeriod = 15 * time.Minute

// setDefault fills a field that is empty.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// setPointer fills an optional field that is unset.
func setPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// setDefaults fills what an API server, or Calico's client in its place, fills (spec/store-layout.md §5).
func setDefaults(key model.Key, value any) {
	switch v := value.(type) {
	case *v3.NetworkPolicy:
		tieredDefaults(key, &v.ObjectMeta, &v.Spec.Tier, &v.Spec.Types, v.Spec.Ingress, v.Spec.Egress)
	case *v3.GlobalNetworkPolicy:
		tieredDefaults(key, &v.ObjectMeta, &v.Spec.Tier, &v.Spec.Types, v.Spec.Ingress, v.Spec.Egress)
	case *v3.StagedNetworkPolicy:
		setDefault(&v.Spec.StagedAction, v3.StagedSet)
		tieredDefaults(key, &v.ObjectMeta, &v.Spec.Tier, &v.Spec.Types, v.Spec.Ingress, v.Spec.Egress)
	case *v3.StagedGlobalNetworkPolicy:
		setDefault(&v.Spec.StagedAction, v3.StagedSet)
		tieredDefaults(key, &v.ObjectMeta, &v.Spec.Tier, &v.Spec.Types, v.Spec.Ingress, v.Spec.Egress)
	case *v3.StagedKubernetesNetworkPolicy:
		setDefault(&v.Spec.StagedAction, v3.StagedSet)
	case *v3.Tier:
		tierDefaults(key.Name, &v.Spec)
	case *v3.IPPool:
		poolDefaults(&v.Spec)
	case *v3.IPAMConfiguration:
		setPointer(&v.Spec.AutoAllocateBlocks, true)
		setPointer(&v.Spec.MaxBlocksPerHost, 0)
	case *v3.BGPConfiguration:
		setDefault(&v.Spec.LogSeverityScreen, "Info")
		setPointer(&v.Spec.ServiceLoadBalancerAggregation, "Enabled")
	case *v3.ClusterInformation:
		setPointer(&v.Spec.DatastoreReady, true) // Calico's CNI plugin crashes when it is unset (trap 9)
	case *v3.KubeControllersConfiguration:
		controllersDefaults(&v.Spec)
	case *v3.FelixConfiguration:
		felixDefaults(&v.Spec)
	case *v3.WorkloadEndpoint:
		// As Calico's client: the label of the service account is computed by whoever reads (R52).
		v.Labels = with(v.Labels, model.LabelNamespace, key.Namespace, model.LabelOrchestrator, v.Spec.Orchestrator)
	default:
		kubernetesDefaults(value)
	}
	canonical(value)
}

// kubernetesDefaults fills what Tortie reads of core objects.
func kubernetesDefaults(value any) {
	switch v := value.(type) {
	case *networkingv1.NetworkPolicy:
		networkPolicyDefaults(&v.Spec)
	case *corev1.Pod:
		setDefault(&v.Spec.ServiceAccountName, "default")
		for i := range v.Spec.Containers {
			for j := range v.Spec.Containers[i].Ports {
				setDefault(&v.Spec.Containers[i].Ports[j].Protocol, corev1.ProtocolTCP)
			}
		}
	case *corev1.Service:
		for i := range v.Spec.Ports {
			setDefault(&v.Spec.Ports[i].Protocol, corev1.ProtocolTCP)
		}
	}
}

// tieredDefaults fills tier, types (R26), the label by which clients list the policies of a tier, and the annotation
// with the name.
func tieredDefaults(key model.Key, meta *metav1.ObjectMeta, tier *string, types *[]v3.PolicyType, ingress, egress []v3.Rule) {
	setDefault(tier, model.TierDefault)
	if len(*types) == 0 {
		if len(ingress) > 0 || len(egress) == 0 {
			*types = append(*types, v3.PolicyTypeIngress)
		}
		if len(egress) > 0 {
			*types = append(*types, v3.PolicyTypeEgress)
		}
	}
	meta.Labels = with(meta.Labels, model.LabelTier, *tier)
	meta.Annotations = with(meta.Annotations, annotationMetadata, metadataAnnotation(key.Name))
}

func metadataAnnotation(name string) string {
	quoted, err := json.Marshal(name)
	if err != nil { // a Go string always has a JSON form
		return "{}"
	}
	return `{"name":` + string(quoted) + `}`
}

// builtinTiers are the tiers whose order and end are fixed (R29).
var builtinTiers = map[string]struct {
	order  float64
	action v3.Action
}{
	model.TierDefault:      {1_000_000, v3.Deny},
	model.TierKubeAdmin:    {1_000, v3.Pass},
	model.TierKubeBaseline: {10_000_000, v3.Pass},
}

func tierDefaults(name string, spec *v3.TierSpec) {
	if fixed, ok := builtinTiers[name]; ok {
		setPointer(&spec.Order, fixed.order)
		setPointer(&spec.DefaultAction, fixed.action)
	}
	setPointer(&spec.DefaultAction, v3.Deny)
}

func poolDefaults(spec *v3.IPPoolSpec) {
	if cidr, err := netip.ParsePrefix(spec.CIDR); err == nil && spec.BlockSize == 0 {
		_, _, spec.BlockSize = blockSizes(cidr)
	}
	setDefault(&spec.VXLANMode, v3.EncapsulationNever)
	setDefault(&spec.IPIPMode, v3.EncapsulationNever)
	setDefault(&spec.NodeSelector, "all()")
	setPointer(&spec.AssignmentMode, v3.AssignmentAutomatic)
	if len(spec.AllowedUses) == 0 {
		spec.AllowedUses = []v3.IPPoolAllowedUse{v3.IPPoolUseWorkload, v3.IPPoolUseTunnel}
	}
}

func controllersDefaults(spec *v3.KubeControllersConfigurationSpec) {
	setDefault(&spec.HealthChecks, "Enabled")
	setPointer(&spec.PrometheusMetricsPort, 9094)
	if n := spec.Controllers.Node; n != nil {
		setPointer(&n.LeakGracePeriod, metav1.Duration{Duration: leakGracePeriod})
	}
	if lb := spec.Controllers.LoadBalancer; lb != nil {
		setDefault(&lb.AssignIPs, "AllServices")
	}
	if m := spec.Controllers.Migration; m != nil {
		setDefault(&m.PolicyNameMigrator, "Enabled")
	}
}

// canonical writes nets in one way: host bits cleared, IPv6 in its short form. What is wrong stays for the message.
func canonical(value any) {
	switch v := value.(type) {
	case *v3.NetworkPolicy:
		canonicalRules(v.Spec.Ingress, v.Spec.Egress)
	case *v3.GlobalNetworkPolicy:
		canonicalRules(v.Spec.Ingress, v.Spec.Egress)
	case *v3.StagedNetworkPolicy:
		canonicalRules(v.Spec.Ingress, v.Spec.Egress)
	case *v3.StagedGlobalNetworkPolicy:
		canonicalRules(v.Spec.Ingress, v.Spec.Egress)
	case *v3.Profile:
		canonicalRules(v.Spec.Ingress, v.Spec.Egress)
	case *v3.NetworkSet:
		canonicalNets(v.Spec.Nets)
	case *v3.GlobalNetworkSet:
		canonicalNets(v.Spec.Nets)
	case *v3.IPReservation:
		canonicalNets(v.Spec.ReservedCIDRs)
	case *v3.IPPool:
		canonicalNet(&v.Spec.CIDR)
	case *v3.BGPConfiguration:
		for _, list := range [][]v3.ServiceCIDR{v.Spec.ServiceClusterIPs, v.Spec.ServiceExternalIPs, v.Spec.ServiceLoadBalancerIPs} {
			for i := range list {
				canonicalNet(&list[i].CIDR)
			}
		}
		for i := range v.Spec.PrefixAdvertisements {
			canonicalNet(&v.Spec.PrefixAdvertisements[i].CIDR)
		}
	}
}

func canonicalRules(directions ...[]v3.Rule) {
	for _, rules := range directions {
		for i := range rules {
			for _, side := range []*v3.EntityRule{&rules[i].Source, &rules[i].Destination} {
				canonicalNets(side.Nets)
				canonicalNets(side.NotNets)
			}
		}
	}
}

func canonicalNets(nets []string) {
	for i := range nets {
		canonicalNet(&nets[i])
	}
}

func canonicalNet(text *string) {
	if addr, ok := readAddr(*text); ok {
		*text = addr.String()
	} else if prefix, ok := readPrefix(*text); ok {
		*text = prefix.Masked().String()
	}
}
