package convert_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"net/netip"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
)

// TestLeanPodsAreTheSamePods: what a node makes of a pod does not depend on how much of it was read.
func TestLeanPodsAreTheSamePods(t *testing.T) {
	key := model.Key{Kind: model.KindPod, Namespace: "ns", Name: "p"}
	deleted := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(time.RFC3339)
	for name, text := range map[string]string{
		"empty":        `{}`,
		"host network": `{"spec":{"nodeName":"n","hostNetwork":true}}`,
		"unscheduled":  `{"spec":{"containers":[]}}`,
		"whole": `{"kind":"Pod","metadata":{"name":"p","uid":"u-1","labels":{"a":"b"},"annotations":{"cni.projectcalico.org/containerID":"c","x":"y"}},
			"spec":{"nodeName":"n","serviceAccountName":"sa","volumes":[{"name":"v","emptyDir":{}}],
			"containers":[{"name":"m","image":"i","ports":[{"name":"http","containerPort":80},{"containerPort":1},{"name":"dns","containerPort":53,"protocol":"UDP"}]}],
			"initContainers":[{"name":"i","ports":[{"name":"init","containerPort":99,"protocol":"SCTP"}]}]},
			"status":{"phase":"Running","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}}`,
		"one address": `{"spec":{"nodeName":"n"},"status":{"podIP":"10.0.0.1"}}`,
		"annotated":   `{"metadata":{"annotations":{"cni.projectcalico.org/podIPs":"10.0.0.1/32,fd00::1/128","cni.projectcalico.org/allowedSourcePrefixes":"[\"10.9.0.0/16\"]"}},"spec":{"nodeName":"n"}}`,
		"succeeded":   `{"spec":{"nodeName":"n"},"status":{"phase":"Succeeded","podIP":"10.0.0.1"}}`,
		"released":    `{"metadata":{"deletionTimestamp":"` + deleted + `","annotations":{"cni.projectcalico.org/podIP":""}},"spec":{"nodeName":"n"},"status":{"podIP":"10.0.0.1"}}`,
		"terminating": `{"metadata":{"deletionTimestamp":"` + deleted + `"},"spec":{"nodeName":"n"},"status":{"podIP":"10.0.0.1"}}`,
		"bad address": `{"spec":{"nodeName":"n"},"status":{"podIP":"x"}}`,
		"bad port":    `{"spec":{"nodeName":"n","containers":[{"ports":[{"name":"http","containerPort":0,"protocol":"X"}]}]}}`,
		"not JSON":    `{"spec":{"nodeName":"n"`,
		"wrong type":  `{"spec":{"nodeName":1}}`,
		"a list":      `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			if name != "not JSON" && !json.Valid([]byte(text)) {
				t.Fatal("the case is not JSON")
			}
			through := func(decode func(model.Key, []byte) (any, error)) (any, string) {
				value, err := decode(key, []byte(text))
				if err != nil {
					return nil, "cannot be read"
				}
				out, err := convert.Model(key, value)
				if err != nil {
					return out, err.Error()
				}
				return out, ""
			}
			want, problem := through(convert.Decode)
			got, gotProblem := through(convert.DecodeLean)
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
				cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()); diff != "" || problem != gotProblem {
				t.Errorf("whole: %q, lean: %q (-whole +lean):\n%s", problem, gotProblem, diff)
			}
		})
	}
}
