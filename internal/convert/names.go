package convert

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// The name that a kind of one object per cluster, or per cluster and node, has.
const (
	nameDefault    = "default"
	namePrefixNode = "node."
)

// objectName checks the name and namespace of an object to be written.
func (p *problems) objectName(info KindInfo) {
	name := p.key.Name
	switch {
	case name == "":
		p.add("metadata.name", nil, "is missing")
		return
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		p.add("metadata.name", name, "must be lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit, at most 253 bytes")
	}
	if len(p.fields) > 0 {
		return
	}
	switch info.Kind {
	case model.KindTier, model.KindNamespace, model.KindService:
		if len(validation.IsDNS1123Label(name)) > 0 {
			p.add("metadata.name", name, "must be lower-case letters, digits and '-', beginning and ending with a letter or digit, at most 63 bytes")
		}
	case model.KindClusterInformation, model.KindIPAMConfiguration, model.KindKubeControllersConfiguration:
		if name != nameDefault {
			p.add("metadata.name", name, "%s", oneOf(nameDefault))
		}
	case model.KindFelixConfiguration, model.KindBGPConfiguration:
		if name != nameDefault && (!strings.HasPrefix(name, namePrefixNode) || name == namePrefixNode) {
			p.add("metadata.name", name, "%s", oneOf(nameDefault, namePrefixNode+"<node name>"))
		}
	}
	switch {
	case info.Namespaced && p.key.Namespace == "":
		p.add("metadata.namespace", nil, "is missing")
	case info.Namespaced && len(validation.IsDNS1123Label(p.key.Namespace)) > 0:
		p.add("metadata.namespace", p.key.Namespace, "must be lower-case letters, digits and '-', at most 63 bytes")
	case !info.Namespaced && p.key.Namespace != "":
		p.add("metadata.namespace", p.key.Namespace, "must be empty: the kind belongs to the cluster")
	}
}

// objectLabels checks the labels of an object to be written.
func (p *problems) objectLabels(labels map[string]string) {
	for _, k := range sortedKeys(labels) {
		path := "metadata.labels[" + k + "]"
		if len(validation.IsQualifiedName(k)) > 0 {
			p.add(path, nil, "the key must be [prefix/]name of letters, digits, '-', '_' and '.', name at most 63 bytes")
		}
		if len(validation.IsValidLabelValue(labels[k])) > 0 {
			p.add(path, labels[k], "must be at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit")
		}
	}
}

// labelKey checks a key that a selector names.
func (p *problems) labelKey(path, key string) bool {
	if !selector.ValidKey(key) {
		p.add(path, key, "must be a label key: 1 to 512 letters, digits, '_', '.', '/' and '-'")
		return false
	}
	return true
}

// selectorValue checks a label value of a Kubernetes selector.
func (p *problems) selectorValue(path, value string) bool {
	if len(validation.IsValidLabelValue(value)) > 0 {
		p.add(path, value, "must be a label value: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit")
		return false
	}
	return true
}

// WorkloadEndpointName is the name of a WorkloadEndpoint: node, orchestrator and the workload's segments, each '-' in a
// segment doubled, joined by '-' (spec/store-layout.md §1.5).
func WorkloadEndpointName(node string, id model.WorkloadID) string {
	segments := []string{node, id.Orchestrator, id.Workload, id.Endpoint}
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(s, "-", "--")
	}
	return strings.Join(segments, "-")
}

// SplitWorkloadEndpointName takes a name apart again. It is false when the name has not the four segments, or a segment
// is empty or begins or ends with '-'.
func SplitWorkloadEndpointName(name string) (node string, id model.WorkloadID, ok bool) {
	var segments []string
	var segment strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '-' {
			segment.WriteByte(name[i])
			continue
		}
		if i+1 < len(name) && name[i+1] == '-' {
			segment.WriteByte('-')
			i++
			continue
		}
		segments = append(segments, segment.String())
		segment.Reset()
	}
	segments = append(segments, segment.String())
	if len(segments) != 4 {
		return "", model.WorkloadID{}, false
	}
	for _, s := range segments {
		if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
			return "", model.WorkloadID{}, false
		}
	}
	return segments[0], model.WorkloadID{Orchestrator: segments[1], Workload: segments[2], Endpoint: segments[3]}, true
}
