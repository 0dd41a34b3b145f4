package cni

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"

	"github.com/tortie-net/tortie/internal/model"
)

// ipamPrefix marks the commands of the plain IPAM plugin.
const ipamPrefix = "IPAM "

// cniVersions are the versions of the specification that are served.
var cniVersions = []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// netConf is the network configuration as Calico's plugin reads it (spec/store-layout.md §3.1); keys that only concern
// how that plugin reaches its store are accepted and do nothing here. Two keys are tortie-cni's own additions.
type netConf struct {
	types.PluginConf
	MTU               int  `json:"mtu"`
	NumQueues         int  `json:"num_queues"`
	IncludeDefault    bool `json:"include_default_routes"`
	PolicyTimeout     int  `json:"policy_setup_timeout_seconds"`
	ContainerSettings struct {
		AllowIPForwarding bool `json:"allow_ip_forwarding"`
	} `json:"container_settings"`
	FeatureControl struct {
		IPAddrsNoIPAM bool `json:"ip_addrs_no_ipam"`
	} `json:"feature_control"`
	IPAM ipamConf `json:"ipam"`

	IPAMResult json.RawMessage `json:"tortie.io/ipamResult"` // what a delegated IPAM plugin answered
	NetnsPath  string          `json:"tortie.io/netns"`      // CNI_NETNS, only to be repeated in the result
}

type ipamConf struct {
	Type       string   `json:"type"`
	AssignIPv4 *string  `json:"assign_ipv4"` // "true" when unset
	AssignIPv6 *string  `json:"assign_ipv6"` // "false" when unset
	IPv4Pools  []string `json:"ipv4_pools"`
	IPv6Pools  []string `json:"ipv6_pools"`
}

// own says that addresses come from Tortie's IPAM and not from a delegated plugin.
func (c ipamConf) own() bool {
	return c.Type == "tortie-ipam" || c.Type == "calico-ipam"
}

func parseConf(raw json.RawMessage) (*netConf, error) {
	var c netConf
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "network configuration is not readable", err.Error())
	}
	if c.CNIVersion == "" {
		c.CNIVersion = "0.1.0" // what the specification says of configurations without
	}
	if !slices.Contains(cniVersions, c.CNIVersion) {
		return nil, types.NewError(types.ErrIncompatibleCNIVersion, fmt.Sprintf("cniVersion %q", c.CNIVersion), "must be one of "+strings.Join(cniVersions, ", "))
	}
	if err := utils.ValidateNetworkName(c.Name); err != nil {
		return nil, err
	}
	if c.MTU != 0 && (c.MTU < 68 || c.MTU > 65535) {
		return nil, badConf("mtu %d: must be 68 to 65535, or 0 for the node's", c.MTU)
	}
	if c.NumQueues < 0 || c.NumQueues > 4096 {
		return nil, badConf("num_queues %d: must be 0 to 4096", c.NumQueues)
	}
	if c.PolicyTimeout < 0 || c.PolicyTimeout > 600 {
		return nil, badConf("policy_setup_timeout_seconds %d: must be 0 to 600", c.PolicyTimeout)
	}
	for key, v := range map[string]*string{"assign_ipv4": c.IPAM.AssignIPv4, "assign_ipv6": c.IPAM.AssignIPv6} {
		if v != nil {
			if _, err := strconv.ParseBool(*v); err != nil {
				return nil, badConf(`ipam.%s %q: must be "true" or "false"`, key, *v)
			}
		}
	}
	return &c, nil
}

func badConf(format string, args ...any) error {
	return types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf(format, args...), "")
}

func badArgs(format string, args ...any) error {
	return types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf(format, args...), "")
}

// families says which addresses the configuration asks for.
func (c *netConf) families() (want4, want6 bool) {
	want4 = true
	if c.IPAM.AssignIPv4 != nil {
		want4, _ = strconv.ParseBool(*c.IPAM.AssignIPv4)
	}
	if c.IPAM.AssignIPv6 != nil {
		want6, _ = strconv.ParseBool(*c.IPAM.AssignIPv6)
	}
	return want4, want6
}

// cniArgs is CNI_ARGS, as far as it is known; others are ignored, as with IgnoreUnknown: runtimes add their own.
type cniArgs struct {
	namespace, pod, uid string
	addr                netip.Addr
}

func parseArgs(s string) (cniArgs, error) {
	var a cniArgs
	for _, pair := range strings.Split(s, ";") {
		key, value, ok := strings.Cut(pair, "=")
		if pair == "" {
			continue
		}
		if !ok {
			return a, badArgs("CNI_ARGS: %q is not KEY=VALUE", pair)
		}
		switch key {
		case "K8S_POD_NAMESPACE":
			a.namespace = value
		case "K8S_POD_NAME":
			a.pod = value
		case "K8S_POD_UID":
			a.uid = value
		case "IP":
			addr, err := netip.ParseAddr(value)
			if p, perr := netip.ParsePrefix(value); err != nil && perr == nil {
				addr, err = p.Addr(), nil
			}
			if err != nil {
				return a, badArgs("CNI_ARGS: IP=%q is not an address", value)
			}
			a.addr = addr.Unmap()
		}
	}
	if (a.namespace == "") != (a.pod == "") {
		return a, badArgs("CNI_ARGS: K8S_POD_NAMESPACE and K8S_POD_NAME go together")
	}
	for _, name := range []string{a.namespace, a.pod} {
		if strings.ContainsAny(name, "/\x00") || len(name) > 253 {
			return a, badArgs("CNI_ARGS: %q is not a Kubernetes name", name)
		}
	}
	return a, nil
}

// workload names the endpoint: Kubernetes' pod, or else the container itself.
func (a cniArgs) workload(containerID, ifName string) model.WorkloadID {
	if a.pod != "" {
		return model.WorkloadID{Orchestrator: "k8s", Namespace: a.namespace, Workload: a.pod, Endpoint: ifName}
	}
	return model.WorkloadID{Orchestrator: "cni", Namespace: "default", Workload: containerID, Endpoint: ifName}
}

// hostInterface is the name of the host side: for a pod the prefix and the first 11 hexadecimal digits of SHA-1 of
// "namespace.pod", else of the container ID. Further interfaces of the same workload get names of their own.
func hostInterface(prefix string, id model.WorkloadID) string {
	room := 15 - len(prefix)
	text := id.Workload
	if id.Orchestrator == "k8s" || id.Endpoint != "eth0" {
		name := id.Namespace + "." + id.Workload
		if id.Endpoint != "eth0" {
			name += "." + id.Endpoint
		}
		sum := sha1.Sum([]byte(name))
		text = hex.EncodeToString(sum[:])
	}
	return prefix + text[:min(len(text), room, 11)]
}

func validAttachment(containerID, ifName string) error {
	// Both become part of a file's name.
	if err := utils.ValidateContainerID(containerID); err != nil {
		return err
	}
	if len(containerID) > 200 {
		return badArgs("CNI_CONTAINERID: %d characters: at most 200", len(containerID))
	}
	if err := utils.ValidateInterfaceName(ifName); err != nil {
		return err
	}
	return nil
}

// parseMAC accepts what can be the address of one interface.
func parseMAC(s string) (string, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return "", badConf("annotation %shwAddr: %q is not an Ethernet address", annotationPrefix, s)
	}
	if hw[0]&1 != 0 {
		return "", badConf("annotation %shwAddr: %q is a multicast address: the lowest bit of its first byte must be 0", annotationPrefix, s)
	}
	return hw.String(), nil
}

// newMAC makes a locally administered address.
func newMAC() (string, error) {
	hw := make(net.HardwareAddr, 6)
	if _, err := rand.Read(hw); err != nil {
		return "", fmt.Errorf("make a MAC: %w", err)
	}
	hw[0] = hw[0]&^1 | 2
	return hw.String(), nil
}
