package convert

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tortie-net/tortie/internal/model"
)

// leanPod is of a pod what Model reads. A whole corev1.Pod takes more than a kilobyte before anything is in it, and a
// cluster has tens of thousands.
type leanPod struct {
	Metadata struct {
		UID               string            `json:"uid"`
		Labels            map[string]string `json:"labels"`
		Annotations       map[string]string `json:"annotations"`
		DeletionTimestamp *time.Time        `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		NodeName           string          `json:"nodeName"`
		HostNetwork        bool            `json:"hostNetwork"`
		ServiceAccountName string          `json:"serviceAccountName"`
		Containers         []leanContainer `json:"containers"`
		InitContainers     []leanContainer `json:"initContainers"`
	} `json:"spec"`
	Status struct {
		Phase  corev1.PodPhase `json:"phase"`
		PodIP  string          `json:"podIP"`
		PodIPs []corev1.PodIP  `json:"podIPs"`
	} `json:"status"`
}

type leanContainer struct {
	Ports []leanPort `json:"ports"`
}

type leanPort struct {
	Name          string          `json:"name"`
	ContainerPort int32           `json:"containerPort"`
	Protocol      corev1.Protocol `json:"protocol"`
}

// DecodeLean is Decode for those who only call Model on the result: of a pod it reads no more than that needs, and what
// it passes over is not judged beyond being JSON. Its result for a pod cannot be encoded.
func DecodeLean(key model.Key, raw []byte) (any, error) {
	if key.Kind != model.KindPod {
		return Decode(key, raw)
	}
	pod := &leanPod{}
	if err := strictJSON(raw, pod); err != nil {
		return nil, fmt.Errorf("read %s: %w", subject(key), err)
	}
	return pod, nil
}

// leanOf is the lean form of a whole pod.
func leanOf(v *corev1.Pod) *leanPod {
	out := &leanPod{}
	out.Metadata.UID, out.Metadata.Labels, out.Metadata.Annotations = string(v.UID), v.Labels, v.Annotations
	if v.DeletionTimestamp != nil {
		out.Metadata.DeletionTimestamp = &v.DeletionTimestamp.Time
	}
	out.Spec.NodeName, out.Spec.HostNetwork, out.Spec.ServiceAccountName = v.Spec.NodeName, v.Spec.HostNetwork, v.Spec.ServiceAccountName
	out.Spec.Containers, out.Spec.InitContainers = leanContainers(v.Spec.Containers), leanContainers(v.Spec.InitContainers)
	out.Status.Phase, out.Status.PodIP, out.Status.PodIPs = v.Status.Phase, v.Status.PodIP, v.Status.PodIPs
	return out
}

func leanContainers(containers []corev1.Container) []leanContainer {
	out := make([]leanContainer, len(containers))
	for i := range containers {
		for _, port := range containers[i].Ports {
			out[i].Ports = append(out[i].Ports, leanPort{port.Name, port.ContainerPort, port.Protocol})
		}
	}
	return out
}
