package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
)

// The shape of the cluster: 100 applications in 50 namespaces; policy i selects application i in its namespace and lets
// application i+1 in from every namespace, on a port of its own and one more.
const (
	apps       = 100
	namespaces = 50
	blockSize  = 64
	firstPort  = 8000
)

// scale is how large a cluster is.
type scale struct{ local, remote, policies int }

func (s scale) String() string {
	return fmt.Sprintf("%d local pods, %d remote, %d policies", s.local, s.remote, s.policies)
}

func appOf(i int) string       { return fmt.Sprintf("app-%d", i%apps) }
func namespaceOf(i int) string { return fmt.Sprintf("ns-%d", i%namespaces) }
func uidOf(kind, i int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", kind, i) }

// bootstrap writes what every store holds, the namespaces, a pool, and settings: no BGP mesh with nodes that do not
// exist, and routes to their blocks from the store.
func bootstrap(ctx context.Context, s store.Store) error {
	initial, err := convert.Bootstrap()
	if err != nil {
		return err
	}
	var ops []store.Op
	for _, o := range initial {
		ops = append(ops, store.Op{Kind: store.OpPut, Key: o.Key, Value: o.Value})
	}
	for i := range namespaces {
		name := namespaceOf(i)
		ops = append(ops, store.Op{Kind: store.OpPut, Key: model.Key{Kind: model.KindNamespace, Name: name}, Value: &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(uidOf(1, i)), Labels: map[string]string{"kubernetes.io/metadata.name": name}}}})
	}
	if _, err := s.Txn(ctx, ops...); err != nil {
		return err
	}
	for _, o := range []struct {
		key   model.Key
		value any
		text  string
	}{
		{model.Key{Kind: model.KindIPPool, Name: "pods"}, &v3.IPPool{}, "spec: {cidr: 10.64.0.0/12, ipipMode: Never, vxlanMode: Never}"},
		{model.Key{Kind: model.KindBGPConfiguration, Name: "default"}, &v3.BGPConfiguration{}, "spec: {nodeToNodeMeshEnabled: false, programClusterRoutes: Disabled}"},
		{model.Key{Kind: model.KindFelixConfiguration, Name: "default"}, &v3.FelixConfiguration{}, "spec: {programClusterRoutes: Enabled}"},
	} {
		if err := yaml.Unmarshal([]byte("metadata: {name: "+o.key.Name+"}\n"+o.text), o.value); err != nil {
			return err
		}
		value, _, err := convert.Prepare(o.key, o.value, nil)
		if err != nil {
			return err
		}
		if _, err := s.Txn(ctx, store.Op{Kind: store.OpPut, Key: o.key, Value: value}); err != nil {
			return err
		}
	}
	return nil
}

// podObject is a pod as Kubernetes stores it, to the size that matters. addr where valid is its status.
func podObject(name, uid, node string, i int, addr netip.Addr) store.Op {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespaceOf(i), UID: types.UID(uid),
			Labels: map[string]string{"app": appOf(i), "pod-template-hash": "5d8f8b7c6d"}},
		Spec: corev1.PodSpec{NodeName: node, ServiceAccountName: "default", Containers: []corev1.Container{{
			Name: "main", Image: "example.org/app:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}}},
	}
	if addr.IsValid() {
		p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: addr.String(), PodIPs: []corev1.PodIP{{IP: addr.String()}}}
	}
	return store.Op{Kind: store.OpPut, Key: model.Key{Kind: model.KindPod, Namespace: p.Namespace, Name: name}, Value: p}
}

// remoteNode is a node with a full block: its Node object, the block and its affinity, and the block's pods, whose
// addresses the block alone tells.
func remoteNode(k int) ([]store.Op, error) {
	name := fmt.Sprintf("remote-%d", k)
	at := 10<<24 | 64<<16 | k*blockSize
	cidr := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(at >> 24), byte(at >> 16), byte(at >> 8), byte(at)}), 26)
	owner := "host:" + name
	block := &model.Block{CIDR: cidr, Affinity: owner, Allocations: make([]int, blockSize), SequenceNumbers: map[int]uint64{}}
	nodeKey := model.Key{Kind: model.KindNode, Name: name}
	spec := &v3.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v3.NodeSpec{BGP: &v3.NodeBGPSpec{
		IPv4Address: fmt.Sprintf("172.31.%d.%d/16", 1+k>>8, k&255)}}}
	value, _, err := convert.Prepare(nodeKey, spec, nil)
	if err != nil {
		return nil, err
	}
	ops := []store.Op{
		{Kind: store.OpPut, Key: nodeKey, Value: value},
		{Kind: store.OpPut, Key: model.Key{Kind: model.KindBlock, Name: cidr.String()}, Value: block},
		{Kind: store.OpPut, Key: model.Key{Kind: model.KindAffinity, Namespace: owner, Name: cidr.String()},
			Value: &model.Affinity{Owner: owner, CIDR: cidr, State: model.AffinityConfirmed}},
	}
	for j := range blockSize {
		i := k*blockSize + j
		podName, uid := fmt.Sprintf("remote-pod-%d", i), uidOf(2, i)
		block.Allocations[j] = j
		block.Attributes = append(block.Attributes, model.Allocation{Handle: "k8s-pod-network." + uid, Attributes: map[string]string{
			model.AttrNode: name, model.AttrNamespace: namespaceOf(i), model.AttrPod: podName, model.AttrUID: uid,
			model.AttrTimestamp: "2026-01-01 00:00:00 +0000 UTC"}})
		ops = append(ops, podObject(podName, uid, name, i, netip.Addr{}))
	}
	return ops, nil
}

// policyObject is policy i under a name.
func policyObject(name string, i int) (store.Op, error) {
	key := model.Key{Kind: model.KindNetworkPolicy, Namespace: namespaceOf(i), Name: name}
	tcp := v3.Protocol(intstr.FromString("TCP"))
	var ports []v3.Port
	text := fmt.Sprintf("[%d, %d]", firstPort+i/apps, 20000+i)
	if err := yaml.Unmarshal([]byte(text), &ports); err != nil {
		return store.Op{}, err
	}
	p := &v3.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name}, Spec: v3.NetworkPolicySpec{
		Selector: "app == '" + appOf(i) + "'", Types: []v3.PolicyType{"Ingress"},
		Ingress: []v3.Rule{{Action: v3.Allow, Protocol: &tcp,
			Source:      v3.EntityRule{Selector: "app == '" + appOf(i+1) + "'", NamespaceSelector: "all()"},
			Destination: v3.EntityRule{Ports: ports}}},
	}}
	value, _, err := convert.Prepare(key, p, nil)
	return store.Op{Kind: store.OpPut, Key: key, Value: value}, err
}

// write puts transactions into the store, several at once.
func write(ctx context.Context, s *etcd.Store, txns [][]store.Op) (last store.Revision, err error) {
	work := make(chan []store.Op)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ops := range work {
				revision, e := s.Txn(ctx, ops...)
				mu.Lock()
				last = max(last, revision)
				if e != nil && err == nil {
					err = e
				}
				mu.Unlock()
			}
		})
	}
	for _, ops := range txns {
		work <- ops
	}
	close(work)
	wg.Wait()
	return last, err
}

// grow brings the cluster to a scale; it only ever grows.
func (n *node) grow(ctx context.Context, to scale) error {
	var txns [][]store.Op
	for k := n.size.remote / blockSize; k*blockSize < to.remote; k++ {
		ops, err := remoteNode(k)
		if err != nil {
			return err
		}
		txns = append(txns, ops)
	}
	n.size.remote = (to.remote + blockSize - 1) / blockSize * blockSize
	var ops []store.Op
	for ; n.size.policies < to.policies; n.size.policies++ {
		op, err := policyObject(fmt.Sprintf("policy-%05d", n.size.policies), n.size.policies)
		if err != nil {
			return err
		}
		if ops = append(ops, op); len(ops) == 100 {
			txns = append(txns, ops)
			ops = nil
		}
	}
	if len(ops) > 0 {
		txns = append(txns, ops)
	}
	revision, err := write(ctx, n.store, txns)
	if err != nil {
		return err
	}
	if err := n.settled(ctx, revision, 2*time.Minute); err != nil {
		return err
	}
	var pods []*pod
	for ; n.size.local < to.local; n.size.local++ {
		p, err := n.preparePod(ctx, fmt.Sprintf("local-%d", n.size.local), n.size.local)
		if err != nil {
			return err
		}
		pods = append(pods, p)
	}
	return n.attach(ctx, pods)
}

// preparePod makes a pod's namespace and its object.
func (n *node) preparePod(ctx context.Context, name string, i int) (*pod, error) {
	ns, err := kernel.NewNamespace()
	if err != nil {
		return nil, err
	}
	p := &pod{name: name, namespace: namespaceOf(i), uid: uidOf(3, i), ns: ns}
	n.pods[name] = p
	_, err = n.store.Txn(ctx, podObject(name, p.uid, nodeName, i, netip.Addr{}))
	return p, err
}

// attach runs ADD for pods, four at once.
func (n *node) attach(ctx context.Context, pods []*pod) error {
	errs := make(chan error, len(pods))
	slots := make(chan struct{}, 4)
	for _, p := range pods {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var err error
			p.addr, _, err = n.cni(ctx, "ADD", p)
			errs <- err
		}()
	}
	var first error
	for range pods {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// smallNode is a node without policies; largeNode one that grows to the largest scale.
func (b *bench) smallNode(ctx context.Context) (_ *node, err error) {
	if b.small == nil {
		b.small, err = b.newNode(ctx, b.dir+"/small", false)
	}
	return b.small, err
}

func (b *bench) largeNode(ctx context.Context, to scale) (_ *node, err error) {
	if b.large == nil {
		if b.large, err = b.newNode(ctx, b.dir+"/large", false); err != nil {
			return nil, err
		}
	}
	return b.large, b.large.grow(ctx, to)
}

// scales are those of the change rows, the last also that of the others.
func (b *bench) scales() []scale {
	all := []scale{{100, 1000, 100}, {100, 10000, 1000}, {100, 50000, 5000}}
	if b.short {
		return []scale{{100, 1000, 100}, {100, 5000, 1000}}
	}
	return all
}

func (b *bench) largest() scale { s := b.scales(); return s[len(s)-1] }
