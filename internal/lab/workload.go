package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/lab/traffic"
)

// attached is what tortie-cni answered for a workload.
type attached struct {
	Addresses []netip.Addr `json:"addresses"`
}

// cniConfig is the network configuration that the lab uses, as a runtime would read it from a file.
func cniConfig(socket string, ipv4, ipv6 bool) []byte {
	conf := map[string]any{
		"cniVersion": "1.1.0", "name": "tortie", "type": "tortie-cni", "socket": socket,
		"ipam": map[string]any{"type": "tortie-ipam", "assign_ipv4": fmt.Sprint(ipv4), "assign_ipv6": fmt.Sprint(ipv6)},
	}
	raw, err := json.Marshal(conf)
	if err != nil {
		return nil
	}
	return raw
}

// cni runs the plugin for a workload, as a container runtime would.
func (l *Lab) cni(ctx context.Context, command string, w *Workload) ([]byte, error) {
	env := []string{
		"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + l.containerID(w), "CNI_IFNAME=eth0",
		"CNI_NETNS=" + l.net.path(w.Name), "CNI_PATH=" + filepath.Dir(l.plugin),
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=" + w.Namespace + ";K8S_POD_NAME=" + w.Name +
			";K8S_POD_INFRA_CONTAINER_ID=" + l.containerID(w) + ";K8S_POD_UID=" + l.podUID(w),
	}
	cmd := exec.CommandContext(ctx, l.plugin)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewReader(cniConfig(l.cniSocket(w.Node), l.ipv4, l.ipv6))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		var line bytes.Buffer
		if json.Compact(&line, out) != nil {
			line.Reset()
			line.Write(out)
		}
		return nil, fmt.Errorf("tortie-cni %s for %s: %s", command, w.Name, strings.TrimSpace(line.String()+stderr.String()))
	}
	return out, nil
}

// containerID is a name like those of a runtime, the same for every run of the lab.
func (l *Lab) containerID(w *Workload) string { return "lab-" + l.file.Name + "-" + w.Name }

// podUID is a UID in the usual form, made of the names.
func (l *Lab) podUID(w *Workload) string {
	h := sha256.Sum256([]byte(l.file.Name + "/" + w.Name))
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// attach runs ADD for a workload whose namespace is there.
func (l *Lab) attach(ctx context.Context, w *Workload) (attached, error) {
	out, err := l.cni(ctx, "ADD", w)
	if err != nil {
		return attached{}, err
	}
	var result struct {
		IPs []struct {
			Address string `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return attached{}, fmt.Errorf("tortie-cni ADD for %s: %w", w.Name, err)
	}
	var a attached
	for _, ip := range result.IPs {
		p, err := netip.ParsePrefix(ip.Address)
		if err != nil {
			return attached{}, fmt.Errorf("tortie-cni ADD for %s: %w", w.Name, err)
		}
		a.Addresses = append(a.Addresses, p.Addr())
	}
	return a, nil
}

// Prepare makes the namespace of a workload that is not in the lab file, and its objects; Attach then runs ADD.
func (l *Lab) Prepare(ctx context.Context, w *Workload) (*kernel.Namespace, error) {
	ns, err := l.net.make(w.Name)
	if err != nil {
		return nil, err
	}
	docs, err := (&Lab{file: &File{Name: l.file.Name, Workloads: []Workload{*w}}}).manifest()
	if err != nil {
		return nil, err
	}
	return ns, l.tortie(ctx, bytes.NewReader(docs), "apply", "-f", "-")
}

// Attach runs ADD for a workload and returns its addresses.
func (l *Lab) Attach(ctx context.Context, w *Workload) ([]netip.Addr, error) {
	a, err := l.attach(ctx, w)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addrs[w.Name] = a.Addresses
	return a.Addresses, nil
}

// Detach runs DEL for a workload; its namespace and objects stay.
func (l *Lab) Detach(ctx context.Context, w *Workload) error {
	_, err := l.cni(ctx, "DEL", w)
	return err
}

// End is a workload as an end of traffic.
func (l *Lab) End(name string, family int) (traffic.Workload, error) {
	ns, err := l.net.get(name)
	if err != nil {
		return traffic.Workload{}, err
	}
	addr, ok := l.address(name, family)
	if !ok {
		return traffic.Workload{}, fmt.Errorf("%s has no IPv%d address", name, family)
	}
	return traffic.Workload{Name: name, NS: ns, Addr: addr}, nil
}

// manifest is the objects that stand for a workload: what a cluster's users and kubelets would write.
func (l *Lab) manifest() ([]byte, error) {
	var docs bytes.Buffer
	add := func(o map[string]any) error {
		raw, err := json.Marshal(o)
		if err != nil {
			return err
		}
		fmt.Fprintf(&docs, "---\n%s\n", raw)
		return nil
	}
	seen := map[string]bool{}
	for i := range l.file.Workloads {
		w := &l.file.Workloads[i]
		if !seen[w.Namespace] {
			seen[w.Namespace] = true
			if err := add(map[string]any{
				"apiVersion": "v1", "kind": "Namespace",
				"metadata": map[string]any{"name": w.Namespace, "labels": map[string]string{"kubernetes.io/metadata.name": w.Namespace}},
			}); err != nil {
				return nil, err
			}
		}
		account := w.ServiceAccount
		if account == "" {
			account = "default"
		}
		if sa := w.Namespace + "/" + account; !seen[sa] {
			seen[sa] = true
			if err := add(map[string]any{
				"apiVersion": "v1", "kind": "ServiceAccount",
				"metadata": map[string]any{"name": account, "namespace": w.Namespace},
			}); err != nil {
				return nil, err
			}
		}
		var ports []map[string]any
		for _, p := range w.Ports {
			port := map[string]any{"containerPort": p.Port, "protocol": p.Protocol}
			if p.Name != "" {
				port["name"] = p.Name
			}
			ports = append(ports, port)
		}
		meta := map[string]any{"name": w.Name, "namespace": w.Namespace, "uid": l.podUID(w)}
		if w.Labels != nil {
			meta["labels"] = w.Labels
		}
		if w.Annotations != nil {
			meta["annotations"] = w.Annotations
		}
		if err := add(map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": meta,
			"spec": map[string]any{
				"nodeName": w.Node, "serviceAccountName": account,
				"containers": []map[string]any{{"name": "main", "image": "lab", "ports": ports}},
			},
		}); err != nil {
			return nil, err
		}
	}
	return docs.Bytes(), nil
}
