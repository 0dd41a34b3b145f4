package convert

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// Prepare does to an object what an API server would do before it stores it: old is nil for a create, else what is
// stored now. The result is a copy with name, namespace, uid, creationTimestamp, defaults, computed labels and
// annotations, canonical nets. The warnings name fields that are stored and have no effect yet. The error is an
// *InvalidError with everything that is wrong with the object by itself; what it refers to CheckReferences checks.
func Prepare(key model.Key, value any, old any) (prepared any, warnings []string, err error) {
	switch v := value.(type) {
	case *model.Block:
		return v.Clone(), nil, nil
	case *model.Affinity, *model.Handle, *model.IPAMConfig:
		return v, nil, nil
	}
	info, ok := registry.byKind[key.Kind]
	if !ok {
		return nil, nil, fmt.Errorf("%s: the kind is not known", subject(key))
	}
	given, ok := value.(object)
	if !ok || reflect.TypeOf(value) != reflect.TypeOf(info.New()) || reflect.ValueOf(value).IsNil() {
		return nil, nil, fmt.Errorf("%s: is a %T: must be %T, not nil", subject(key), value, info.New())
	}
	idle, err := notYet(key, given)
	if err != nil {
		return nil, nil, err
	}
	for _, path := range idle {
		warnings = append(warnings, fmt.Sprintf("%s: %s: is stored and has no effect yet", subject(key), path))
	}
	out, ok := given.DeepCopyObject().(object)
	if !ok {
		return nil, nil, fmt.Errorf("%s: a %T cannot be copied", subject(key), value)
	}
	if err := setMetadata(key, out, old); err != nil {
		return nil, nil, err
	}
	setDefaults(key, out)
	setHonoured(out, idle, old)

	switch v := any(out).(type) {
	case *networkingv1.NetworkPolicy:
		warnings = append(warnings, unusedRules(key, &v.Spec)...)
	case *v3.StagedKubernetesNetworkPolicy:
		warnings = append(warnings, unusedRules(key, kubernetesSpec(v))...)
	}
	p := &problems{key: key, strict: true}
	p.objectName(info)
	p.objectLabels(out.GetLabels())
	p.immutable(out, old)
	p.validate(out)
	tree, err := treeOf(out)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", subject(key), err)
	}
	p.limits(tree)
	if err := p.err(); err != nil {
		return nil, warnings, err
	}
	return out, warnings, nil
}

// treeOf is an object as JSON tree.
func treeOf(value any) (any, error) {
	raw, err := compactJSON(value)
	if err != nil {
		return nil, err
	}
	return jsonTree(raw)
}

// setMetadata gives an object the identity that it has in the store, or a new one.
func setMetadata(key model.Key, out object, old any) error {
	out.SetName(key.Name)
	out.SetNamespace(key.Namespace)
	out.SetGenerateName("")
	if stored, ok := old.(object); ok && !reflect.ValueOf(old).IsNil() {
		out.SetUID(stored.GetUID())
		out.SetCreationTimestamp(stored.GetCreationTimestamp())
	} else {
		out.SetCreationTimestamp(metav1.Time{})
	}
	if created := out.GetCreationTimestamp(); created.IsZero() {
		out.SetCreationTimestamp(metav1.Time{Time: time.Now().UTC().Truncate(time.Second)})
	}
	if out.GetUID() == "" {
		uid, err := newUID()
		if err != nil {
			return fmt.Errorf("%s: make a uid: %w", subject(key), err)
		}
		out.SetUID(uid)
	}
	return nil
}

// newUID is a random UUID (RFC 9562 §5.4).
func newUID() (types.UID, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])), nil
}

// validate checks an object by converting it, and by the rules that only writers are held to.
func (p *problems) validate(value any) {
	if source, ok := policyOf(value); ok {
		p.policy(source)
		return
	}
	switch v := value.(type) {
	case *networkingv1.NetworkPolicy:
		p.kubernetesPolicy("", &v.Spec)
		return
	case *v3.StagedKubernetesNetworkPolicy:
		p.stagedAction(stagedAction(v.Spec.StagedAction))
		p.kubernetesPolicy("", kubernetesSpec(v))
		return
	}
	p.convert(value)
	switch v := value.(type) {
	case *v3.Tier:
		p.builtinTier(&v.Spec)
	case *v3.NetworkSet:
		p.setLabels(v.Labels)
	case *v3.GlobalNetworkSet:
		p.setLabels(v.Labels)
	case *v3.WorkloadEndpoint:
		p.workloadName(v)
	case *v3.Profile:
		p.profileFields(v)
	case *v3.FelixConfiguration:
		p.felixFields(v)
	case *v3.CalicoNodeStatus:
		p.nodeStatus(&v.Spec)
	case *v3.KubeControllersConfiguration:
		p.controllers(&v.Spec)
	case *v3.BGPFilter:
		p.bgpFilter(&v.Spec)
	case *v3.BGPPeer:
		p.reversePeering(v.Spec.ReversePeering)
	}
}

// immutable refuses changes of what blocks and routes were made from.
func (p *problems) immutable(value, old any) {
	now, ok := value.(*v3.IPPool)
	was, ok2 := old.(*v3.IPPool)
	if !ok || !ok2 || was == nil {
		return
	}
	before := was.DeepCopy()
	canonicalNet(&before.Spec.CIDR)
	poolDefaults(&before.Spec)
	if now.Spec.CIDR != before.Spec.CIDR {
		p.add("spec.cidr", now.Spec.CIDR, "cannot be changed from %s: make a new pool, disable this one and move the workloads", before.Spec.CIDR)
	}
	if now.Spec.BlockSize != before.Spec.BlockSize {
		p.add("spec.blockSize", now.Spec.BlockSize, "cannot be changed from %d: make a new pool, disable this one and move the workloads", before.Spec.BlockSize)
	}
}

// CheckReferences says what an object refers to that is not there, and which pool it overlaps with. lookup tells whether
// an object exists; pools are all pools, in any order.
func CheckReferences(key model.Key, value any, lookup func(model.Key) bool, pools []*model.IPPool) error {
	p := &problems{key: key, strict: true}
	if source, ok := policyOf(value); ok {
		if tier := tierName(source.Tier); !lookup(model.Key{Kind: model.KindTier, Name: tier}) {
			p.add("spec.tier", tier, "there is no such tier: create it first")
		}
		return p.err()
	}
	switch v := value.(type) {
	case *v3.BGPPeer:
		for i, name := range v.Spec.Filters {
			if !lookup(model.Key{Kind: model.KindBGPFilter, Name: name}) {
				p.add(index("spec.filters", i), name, "there is no such bgpfilter: create it first")
			}
		}
	case *v3.IPPool:
		cidr, ok := p.parseCIDR("spec.cidr", v.Spec.CIDR)
		for _, other := range pools {
			if ok && other.Name != key.Name && other.CIDR.Overlaps(cidr) {
				p.add("spec.cidr", cidr, "overlaps with ippool %q (%s)", other.Name, other.CIDR)
			}
		}
	}
	return p.err()
}
