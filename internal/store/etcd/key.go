package etcd

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// The roots of everything that is read or written (spec/store-layout.md §1.1, §1.6; the last is Tortie's own, which
// Calico ignores).
const (
	resourceRoot   = "/calico/resources/v3/projectcalico.org/"
	ipamRoot       = "/calico/ipam/v2/"
	kubernetesRoot = "/tortie/v1/kubernetes/"
)

// The folders of what IPAM keeps.
const (
	ipamConfigKey     = ipamRoot + "config"
	ipamHandles       = ipamRoot + "handle/"
	ipamBlocks        = ipamRoot + "assignment/"
	ipamHosts         = ipamRoot + "host/"
	ipamVirtual       = ipamRoot + "virtual/"
	ipamConfigName    = "default"
	ownerHostPrefix   = "host:"
	ownerVirtualStart = "virtual:"
)

// form is how the objects of a kind are keyed.
type form struct {
	root       string // with the plural and a trailing slash
	namespaced bool
}

// forms holds every kind whose key is root, plural, namespace where it has one, and name.
var forms = map[model.Kind]form{
	model.KindTier:                          {resourceRoot + "tiers/", false},
	model.KindNetworkPolicy:                 {resourceRoot + "networkpolicies/", true},
	model.KindGlobalNetworkPolicy:           {resourceRoot + "globalnetworkpolicies/", false},
	model.KindStagedNetworkPolicy:           {resourceRoot + "stagednetworkpolicies/", true},
	model.KindStagedGlobalNetworkPolicy:     {resourceRoot + "stagedglobalnetworkpolicies/", false},
	model.KindStagedKubernetesNetworkPolicy: {resourceRoot + "stagedkubernetesnetworkpolicies/", true},
	model.KindNetworkSet:                    {resourceRoot + "networksets/", true},
	model.KindGlobalNetworkSet:              {resourceRoot + "globalnetworksets/", false},
	model.KindHostEndpoint:                  {resourceRoot + "hostendpoints/", false},
	model.KindWorkloadEndpoint:              {resourceRoot + "workloadendpoints/", true},
	model.KindProfile:                       {resourceRoot + "profiles/", false},
	model.KindNode:                          {resourceRoot + "nodes/", false},
	model.KindIPPool:                        {resourceRoot + "ippools/", false},
	model.KindIPReservation:                 {resourceRoot + "ipreservations/", false},
	model.KindIPAMConfiguration:             {resourceRoot + "ipamconfigurations/", false},
	model.KindBGPConfiguration:              {resourceRoot + "bgpconfigurations/", false},
	model.KindBGPPeer:                       {resourceRoot + "bgppeers/", false},
	model.KindBGPFilter:                     {resourceRoot + "bgpfilters/", false},
	model.KindFelixConfiguration:            {resourceRoot + "felixconfigurations/", false},
	model.KindKubeControllersConfiguration:  {resourceRoot + "kubecontrollersconfigurations/", false},
	model.KindClusterInformation:            {resourceRoot + "clusterinformations/", false},
	model.KindCalicoNodeStatus:              {resourceRoot + "caliconodestatuses/", false},

	model.KindNamespace:               {kubernetesRoot + "namespaces/", false},
	model.KindServiceAccount:          {kubernetesRoot + "serviceaccounts/", true},
	model.KindPod:                     {kubernetesRoot + "pods/", true},
	model.KindService:                 {kubernetesRoot + "services/", true},
	model.KindEndpointSlice:           {kubernetesRoot + "endpointslices/", true},
	model.KindKubernetesNetworkPolicy: {kubernetesRoot + "networkpolicies/", true},
	model.KindClusterNetworkPolicy:    {kubernetesRoot + "clusternetworkpolicies/", false},
}

// kindsByRoot is forms the other way round.
var kindsByRoot = func() map[string]model.Kind {
	kinds := make(map[string]model.Kind, len(forms))
	for kind, f := range forms {
		kinds[f.root] = kind
	}
	return kinds
}()

// EncodeKey is the etcd key of an object, or ErrInvalid with what is wrong with its name.
func EncodeKey(key model.Key) (string, error) {
	switch key.Kind {
	case model.KindBlock:
		if err := wantNamespace(key, false); err != nil {
			return "", err
		}
		cidr, err := blockPath(key)
		return ipamBlocks + cidr, err
	case model.KindAffinity:
		owner, err := ownerPath(key)
		if err != nil {
			return "", err
		}
		cidr, err := blockPath(key)
		return owner + cidr, err
	case model.KindHandle:
		if err := wantNamespace(key, false); err != nil {
			return "", err
		}
		if key.Name == "" {
			return "", invalid(key, "a handle needs an ID")
		}
		return ipamHandles + key.Name, nil
	case model.KindIPAMConfig:
		if err := wantNamespace(key, false); err != nil {
			return "", err
		}
		if key.Name != ipamConfigName {
			return "", invalid(key, `the only one is "default"`)
		}
		return ipamConfigKey, nil
	}
	f, ok := forms[key.Kind]
	if !ok {
		return "", invalid(key, "this kind is not stored in etcd")
	}
	if err := wantNamespace(key, f.namespaced); err != nil {
		return "", err
	}
	if key.Name == "" || strings.Contains(key.Name, "/") {
		return "", invalid(key, "a name must be given, and must not contain a slash")
	}
	if f.namespaced {
		return f.root + key.Namespace + "/" + key.Name, nil
	}
	return f.root + key.Name, nil
}

// DecodeKey says which object an etcd key belongs to. ok is false when it is none that Tortie knows. The error says that
// it is one, but that its name cannot be right; key then holds what was found.
func DecodeKey(raw string) (key model.Key, ok bool, err error) {
	switch {
	case strings.HasPrefix(raw, resourceRoot):
		return decodeNamed(raw, resourceRoot)
	case strings.HasPrefix(raw, kubernetesRoot):
		return decodeNamed(raw, kubernetesRoot)
	case raw == ipamConfigKey:
		return model.Key{Kind: model.KindIPAMConfig, Name: ipamConfigName}, true, nil
	case strings.HasPrefix(raw, ipamHandles) && len(raw) > len(ipamHandles):
		return model.Key{Kind: model.KindHandle, Name: raw[len(ipamHandles):]}, true, nil
	case strings.HasPrefix(raw, ipamBlocks):
		return decodeBlock(model.Key{Kind: model.KindBlock}, raw[len(ipamBlocks):])
	case strings.HasPrefix(raw, ipamHosts):
		return decodeAffinity(ownerHostPrefix, raw[len(ipamHosts):])
	case strings.HasPrefix(raw, ipamVirtual):
		return decodeAffinity(ownerVirtualStart, raw[len(ipamVirtual):])
	}
	return model.Key{}, false, nil
}

// decodeNamed splits plural, namespace and name.
func decodeNamed(raw, root string) (model.Key, bool, error) {
	plural, rest, found := strings.Cut(raw[len(root):], "/")
	kind, known := kindsByRoot[root+plural+"/"]
	if !found || !known || rest == "" {
		return model.Key{}, false, nil
	}
	key := model.Key{Kind: kind, Name: rest}
	if forms[kind].namespaced {
		namespace, name, found := strings.Cut(rest, "/")
		if !found {
			return key, true, fmt.Errorf("etcd key %q: a %s is kept under namespace and name", raw, kind)
		}
		key.Namespace, key.Name = namespace, name
	}
	if key.Name == "" || strings.Contains(key.Name, "/") || (forms[kind].namespaced && key.Namespace == "") {
		return key, true, fmt.Errorf("etcd key %q: not the key of a %s", raw, kind)
	}
	return key, true, nil
}

// decodeAffinity splits owner and block. Keys without a block are notes of older allocators: not objects.
func decodeAffinity(ownerStart, rest string) (model.Key, bool, error) {
	owner, block, found := strings.Cut(rest, "/")
	if !found {
		return model.Key{}, false, nil
	}
	key, ok, err := decodeBlock(model.Key{Kind: model.KindAffinity, Namespace: ownerStart + owner}, block)
	if _, wrong := ownerPath(key); ok && err == nil && wrong != nil {
		err = wrong
	}
	return key, ok, err
}

// decodeBlock reads "ipv4/block/10.65.107.0-26" into the key's name.
func decodeBlock(key model.Key, path string) (model.Key, bool, error) {
	family, rest, _ := strings.Cut(path, "/")
	raw, isBlock := strings.CutPrefix(rest, "block/")
	if !isBlock || raw == "" || (family != "ipv4" && family != "ipv6") {
		return model.Key{}, false, nil
	}
	key.Name = raw
	if cut := strings.LastIndexByte(raw, '-'); cut >= 0 {
		key.Name = raw[:cut] + "/" + raw[cut+1:]
	}
	if again, err := blockPath(key); err != nil || again != path {
		return key, true, fmt.Errorf("etcd key ending %q: not the key of a block in canonical form", path)
	}
	return key, true, nil
}

// blockPath is "ipv4/block/10.65.107.0-26" for the block that a key's name tells.
func blockPath(key model.Key) (string, error) {
	prefix, err := netip.ParsePrefix(key.Name)
	if err != nil || prefix != prefix.Masked() || prefix.String() != key.Name {
		return "", invalid(key, "the name must be the block's CIDR in canonical form, like 10.65.107.0/26")
	}
	family := "ipv6"
	if prefix.Addr().Is4() {
		family = "ipv4"
	}
	return family + "/block/" + strings.Replace(key.Name, "/", "-", 1), nil
}

// ownerPath is the folder of the affinities of an owner, with a trailing slash.
func ownerPath(key model.Key) (string, error) {
	for start, root := range map[string]string{ownerHostPrefix: ipamHosts, ownerVirtualStart: ipamVirtual} {
		if owner, ok := strings.CutPrefix(key.Namespace, start); ok && owner != "" && !strings.Contains(owner, "/") {
			return root + owner + "/", nil
		}
	}
	return "", invalid(key, `the owner must be "host:NODE" or "virtual:NAME"`)
}

func wantNamespace(key model.Key, wanted bool) error {
	switch {
	case wanted && (key.Namespace == "" || strings.Contains(key.Namespace, "/")):
		return invalid(key, "a namespace must be given, and must not contain a slash")
	case !wanted && key.Namespace != "":
		return invalid(key, "this kind has no namespace")
	}
	return nil
}

func invalid(key model.Key, why string) error {
	return fmt.Errorf("key %s: %w: %s", key, store.ErrInvalid, why)
}
