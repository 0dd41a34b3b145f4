package convert

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// Model makes of a decoded object the value of a model.Update. It is nil for what the pipeline does not need: host-
// networked and unscheduled pods, kinds without a model.
//
// With an error the value stands all the same: it is what closes (a policy that isolates its subjects), or what is left
// without the wrong parts (a node without the wrong address), or nil. The error names the object and every wrong field.
func Model(key model.Key, value any) (any, error) {
	if value == nil || reflect.ValueOf(value).Kind() == reflect.Pointer && reflect.ValueOf(value).IsNil() {
		return nil, nil
	}
	if source, ok := policyOf(value); ok {
		return policyModel(key, source)
	}
	p := &problems{key: key}
	switch v := value.(type) {
	case *networkingv1.NetworkPolicy:
		return kubernetesPolicyModel(key, v)
	case *v3.StagedKubernetesNetworkPolicy:
		return stagedKubernetesModel(key, v)
	case *v3.IPPool, *v3.BGPPeer:
		// A pool that is half understood must not give addresses, a peer must not be the wrong one.
		out := p.convert(v)
		if err := p.err(); err != nil {
			return nil, err
		}
		return out, nil
	}
	out := p.convert(value)
	return out, p.err()
}

// convert makes the model value of every kind but the policies.
func (p *problems) convert(value any) any {
	switch v := value.(type) {
	case *v3.Tier:
		return p.tier(v)
	case *v3.Profile:
		return p.profile(v)
	case *v3.NetworkSet:
		return p.networkSet(v.Labels, v.Spec.Nets)
	case *v3.GlobalNetworkSet:
		return p.networkSet(v.Labels, v.Spec.Nets)
	case *v3.HostEndpoint:
		return p.hostEndpoint(v)
	case *v3.WorkloadEndpoint:
		return p.workloadEndpoint(v)
	case *v3.Node:
		return p.node(v)
	case *v3.ClusterInformation:
		return clusterInformation(v)
	case *v3.FelixConfiguration:
		return p.felixConfiguration(v)
	case *v3.IPPool:
		return p.ipPool(v)
	case *v3.IPReservation:
		return &model.IPReservation{Name: p.key.Name, CIDRs: p.parsePrefixes("spec.reservedCIDRs", v.Spec.ReservedCIDRs)}
	case *v3.IPAMConfiguration:
		return ipamConfiguration(v)
	case *v3.BGPConfiguration:
		return p.bgpConfiguration(v)
	case *v3.BGPPeer:
		return p.bgpPeer(v)
	case *v3.BGPFilter:
		return &model.BGPFilter{Name: p.key.Name}
	case *v3.KubeControllersConfiguration, *v3.CalicoNodeStatus:
		return nil
	}
	return p.convertKubernetes(value)
}

// convertKubernetes makes the model value of the core Kubernetes kinds, and passes on what IPAM keeps.
func (p *problems) convertKubernetes(value any) any {
	switch v := value.(type) {
	case *corev1.Pod:
		return p.convertKubernetes(leanOf(v))
	case *leanPod:
		if !isEndpoint(v) {
			return nil
		}
		return p.pod(v)
	case *corev1.Namespace:
		return namespace(p.key, v)
	case *corev1.ServiceAccount:
		return serviceAccount(p.key, v)
	case *corev1.Service:
		return p.kubernetesService(v)
	case *discoveryv1.EndpointSlice:
		return p.endpointSlice(v)
	case *model.Block, *model.Affinity, *model.Handle, *model.IPAMConfig:
		return v
	}
	p.add("", nil, "a %T has no model", value)
	return nil
}

// tier converts a tier; whatever is not Pass denies at its end (R24).
func (p *problems) tier(v *v3.Tier) *model.Tier {
	out := &model.Tier{Name: p.key.Name, Order: math.Inf(1), DefaultAction: model.Deny}
	if v.Spec.Order != nil {
		out.Order = *v.Spec.Order
	}
	if a := v.Spec.DefaultAction; a != nil {
		switch *a {
		case v3.Pass:
			out.DefaultAction = model.Pass
		case v3.Deny, "":
		default:
			p.add("spec.defaultAction", string(*a), "%s", oneOf("Deny", "Pass"))
		}
	}
	return out
}

// profile converts a profile; with a wrong rule it denies everything, as a missing one does (R54).
func (p *problems) profile(v *v3.Profile) *model.Profile {
	out := &model.Profile{Name: p.key.Name, Labels: v.Spec.LabelsToApply}
	out.Ingress = p.rules("spec.ingress", v.Spec.Ingress, ruleScope{direction: model.Ingress})
	out.Egress = p.rules("spec.egress", v.Spec.Egress, ruleScope{direction: model.Egress})
	if len(p.fields) > 0 {
		out.Ingress = []model.Rule{{Action: model.Deny}}
		out.Egress = []model.Rule{{Action: model.Deny}}
	}
	return out
}

// networkSet converts both kinds of set (R66, R73). The label that says the namespace is ours alone (R71): a global set
// that carried it would pass for one of a namespace.
func (p *problems) networkSet(labels map[string]string, nets []string) *model.NetworkSet {
	out := &model.NetworkSet{Key: p.key, Labels: labels, Nets: p.parsePrefixes("spec.nets", nets)}
	if p.key.Namespace != "" {
		out.Labels = with(labels, model.LabelNamespace, p.key.Namespace)
		out.Profiles = []string{"kns." + p.key.Namespace}
	} else if _, ok := labels[model.LabelNamespace]; ok {
		out.Labels = maps.Clone(labels)
		delete(out.Labels, model.LabelNamespace)
	}
	return out
}

// with is a copy of labels with some more, given as keys and values in turn.
func with(labels map[string]string, more ...string) map[string]string {
	out := make(map[string]string, len(labels)+len(more)/2)
	maps.Copy(out, labels)
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// annotationsWith keeps the annotations of these prefixes; nil when there are none.
func annotationsWith(annotations map[string]string, prefixes ...string) map[string]string {
	var out map[string]string
	for k, v := range annotations {
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(k, prefix) }) {
			if out == nil {
				out = make(map[string]string)
			}
			out[k] = v
		}
	}
	return out
}

// namespace converts a namespace, which stands for its profile too (R50).
func namespace(key model.Key, v *corev1.Namespace) *model.Namespace {
	return &model.Namespace{Name: key.Name, Labels: v.Labels, Annotations: annotationsWith(v.Annotations, prefixCNI)}
}

// serviceAccount is a profile without rules (R51).
func serviceAccount(key model.Key, v *corev1.ServiceAccount) *model.Profile {
	labels := make(map[string]string, len(v.Labels)+1)
	for k, value := range v.Labels {
		labels[serviceAccountPrefix+k] = value
	}
	labels[serviceAccountPrefix+labelName] = key.Name
	return &model.Profile{Name: "ksa." + key.Namespace + "." + key.Name, Labels: labels}
}

// clusterInformation says ready unless the object says otherwise: the flag exists to hold everybody back.
func clusterInformation(v *v3.ClusterInformation) *model.ClusterInformation {
	return &model.ClusterInformation{
		GUID:  v.Spec.ClusterGUID,
		Ready: v.Spec.DatastoreReady == nil || *v.Spec.DatastoreReady,
	}
}
