package v3

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Port is a port as its author wrote it: a JSON number, or a string that holds a number, a range "first:last" or the
// name of an endpoint's port. It encodes to the form that was decoded; package convert gives it a meaning.
type Port = intstr.IntOrString

// Protocol is an IP protocol as its author wrote it: a number 1 to 255, or a name such as "TCP", "UDP", "ICMP",
// "ICMPv6", "SCTP" or "UDPLite". It encodes to the form that was decoded.
type Protocol = intstr.IntOrString

// DSCP is a differentiated services code point: a number 0 to 63, or a name such as "EF" or "AF11" (RFC 4594 §1.4.4).
type DSCP = intstr.IntOrString

// ASNumber is a BGP autonomous system number, 0 to 4294967295. It encodes to a number. A string is read too, plain or in
// dotted form ("1.10" is 65546, RFC 5396 §2), because clients without a schema let users write one.
//
// +kubebuilder:validation:Type=integer
// +kubebuilder:validation:Format=int64
// +kubebuilder:validation:Minimum=0
// +kubebuilder:validation:Maximum=4294967295
type ASNumber uint32

// MarshalJSON writes a JSON number.
func (n ASNumber) MarshalJSON() ([]byte, error) { return strconv.AppendUint(nil, uint64(n), 10), nil }

// UnmarshalJSON reads a JSON number, or a string in plain or dotted form. null leaves the number as it is.
func (n *ASNumber) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	text := string(b)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(b, &text); err != nil {
			return fmt.Errorf("read AS number %s: %w", b, err)
		}
	}
	number, err := parseASNumber(text)
	if err != nil {
		return err
	}
	*n = number
	return nil
}

func parseASNumber(text string) (ASNumber, error) {
	high, low, dotted := strings.Cut(text, ".")
	if !dotted {
		if v, err := strconv.ParseUint(text, 10, 32); err == nil {
			return ASNumber(v), nil
		}
	} else if h, err := strconv.ParseUint(high, 10, 16); err == nil {
		if l, err := strconv.ParseUint(low, 10, 16); err == nil {
			return ASNumber(h<<16 | l), nil
		}
	}
	return 0, fmt.Errorf("AS number %q: must be 0 to 4294967295, or \"high.low\" with both parts 0 to 65535", text)
}

// ObjectMeta is what Node, Profile and WorkloadEndpoint embed in place of metav1.ObjectMeta. It is the same type;
// controller-gen makes a CRD of each type that embeds metav1.ObjectMeta under its own name, and these have none.
type ObjectMeta = metav1.ObjectMeta

// Conditions is the status of kinds on which controllers report in the usual Kubernetes form.
type Conditions struct {
	// Conditions say what became of the object, one per type.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
