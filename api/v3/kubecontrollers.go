package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// KubeControllersConfiguration configures the cluster's controllers. The only object is "default".
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=kubecontrollersconfigurations,shortName={kcc,kccs}
// +kubebuilder:subresource:status
type KubeControllersConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec KubeControllersConfigurationSpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status KubeControllersConfigurationStatus `json:"status"`
}

// KubeControllersConfigurationList is a list of KubeControllersConfiguration.
//
// +kubebuilder:object:root=true
type KubeControllersConfigurationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KubeControllersConfiguration `json:"items"`
}

// KubeControllersConfigurationSpec holds the settings.
type KubeControllersConfigurationSpec struct {
	// LogSeverityScreen is the least severity that the controllers log. Default Info.
	// +optional
	// +kubebuilder:validation:Enum=None;Debug;Info;Warning;Error;Fatal;Panic
	LogSeverityScreen string `json:"logSeverityScreen,omitempty"`
	// HealthChecks switches the health endpoint.
	// +optional
	// +kubebuilder:validation:Enum=Enabled;Disabled
	// +kubebuilder:default=Enabled
	HealthChecks string `json:"healthChecks,omitempty"`
	// EtcdV3CompactionPeriod between compactions of etcd; 0 switches them off. Default 10m.
	// +optional
	EtcdV3CompactionPeriod *metav1.Duration `json:"etcdV3CompactionPeriod,omitempty"`
	// PrometheusMetricsPort is the TCP port of metrics, 0 to 65535; 0 switches them off. Default 9094.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	PrometheusMetricsPort *int `json:"prometheusMetricsPort,omitempty"`
	// Controllers configures each controller; one whose entry is absent is off.
	Controllers ControllersConfig `json:"controllers"`
	// DebugProfilePort is the TCP port of profiles, 0 to 65535. Absent: none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	DebugProfilePort *int32 `json:"debugProfilePort,omitempty"`
}

// ControllersConfig has an entry for each controller that runs.
type ControllersConfig struct {
	// Node cleans up after nodes that are gone, frees leaked addresses, makes host endpoints.
	// +optional
	Node *NodeControllerConfig `json:"node,omitempty"`
	// Policy copies Kubernetes network policies to etcd.
	// +optional
	Policy *ReconcilerConfig `json:"policy,omitempty"`
	// WorkloadEndpoint copies changed pod labels to etcd.
	// +optional
	WorkloadEndpoint *ReconcilerConfig `json:"workloadEndpoint,omitempty"`
	// ServiceAccount makes profiles from service accounts in etcd.
	// +optional
	ServiceAccount *ReconcilerConfig `json:"serviceAccount,omitempty"`
	// Namespace makes profiles from namespaces in etcd.
	// +optional
	Namespace *ReconcilerConfig `json:"namespace,omitempty"`
	// LoadBalancer assigns addresses to services.
	// +optional
	LoadBalancer *LoadBalancerControllerConfig `json:"loadBalancer,omitempty"`
	// Migration moves objects to newer forms.
	// +optional
	Migration *MigrationControllerConfig `json:"migration,omitempty"`
}

// ReconcilerConfig configures a controller that copies objects from Kubernetes to etcd.
type ReconcilerConfig struct {
	// ReconcilerPeriod between full comparisons. Default 5m.
	// +optional
	ReconcilerPeriod *metav1.Duration `json:"reconcilerPeriod,omitempty"`
}

// NodeControllerConfig configures the node controller.
type NodeControllerConfig struct {
	// ReconcilerPeriod between full comparisons. Default 5m.
	// +optional
	ReconcilerPeriod *metav1.Duration `json:"reconcilerPeriod,omitempty"`
	// SyncLabels copies labels of Kubernetes nodes to Node objects in etcd. Default Enabled.
	// +optional
	// +kubebuilder:validation:Enum=Enabled;Disabled
	SyncLabels string `json:"syncLabels,omitempty"`
	// HostEndpoint makes a host endpoint for each node. Absent: none.
	// +optional
	HostEndpoint *AutoHostEndpointConfig `json:"hostEndpoint,omitempty"`
	// LeakGracePeriod is how long an address without a workload is kept; 0 keeps it for ever. Default 15m.
	// +optional
	LeakGracePeriod *metav1.Duration `json:"leakGracePeriod,omitempty"`
}

// AutoHostEndpointConfig says which host endpoints are made.
type AutoHostEndpointConfig struct {
	// AutoCreate switches them on. Default Disabled.
	// +optional
	// +kubebuilder:validation:Enum=Enabled;Disabled
	AutoCreate string `json:"autoCreate,omitempty"`
	// CreateDefaultHostEndpoint makes one for all interfaces of each node. Default Enabled.
	// +optional
	// +kubebuilder:validation:Enum=Enabled;Disabled
	CreateDefaultHostEndpoint string `json:"createDefaultHostEndpoint,omitempty"`
	// Templates describe further ones.
	// +optional
	// +listType=atomic
	Templates []HostEndpointTemplate `json:"templates,omitempty"`
}

// HostEndpointTemplate describes host endpoints to make.
type HostEndpointTemplate struct {
	// GenerateName is the middle part of the endpoints' names.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	GenerateName string `json:"generateName,omitempty"`
	// InterfaceCIDRs limit expectedIPs to the node's addresses in these networks.
	// +optional
	// +listType=set
	InterfaceCIDRs []string `json:"interfaceCIDRs,omitempty"`
	// InterfacePattern is a regular expression; each interface of the node that matches gets an endpoint.
	// +optional
	InterfacePattern string `json:"interfacePattern,omitempty"`
	// Labels are put on the endpoints, over the node's own.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are put on the endpoints.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// NodeSelector picks the nodes by label. Absent: all.
	// +optional
	NodeSelector string `json:"nodeSelector,omitempty"`
}

// LoadBalancerControllerConfig configures the load balancer controller.
type LoadBalancerControllerConfig struct {
	// AssignIPs says which services of type LoadBalancer get addresses: all, or those whose annotations ask.
	// +optional
	// +kubebuilder:validation:Enum=AllServices;RequestedServicesOnly
	// +kubebuilder:default=AllServices
	AssignIPs string `json:"assignIPs,omitempty"`
}

// MigrationControllerConfig configures the migration controller.
type MigrationControllerConfig struct {
	// PolicyNameMigrator renames stored policies whose names still carry their tier.
	// +optional
	// +kubebuilder:validation:Enum=Disabled;Enabled
	// +kubebuilder:default=Enabled
	PolicyNameMigrator string `json:"policyNameMigrator,omitempty"`
}

// KubeControllersConfigurationStatus is what runs.
type KubeControllersConfigurationStatus struct {
	// RunningConfig is the spec with environment variables applied.
	// +optional
	RunningConfig *KubeControllersConfigurationSpec `json:"runningConfig,omitempty"`
	// EnvironmentVars are those that were applied.
	// +optional
	EnvironmentVars map[string]string `json:"environmentVars,omitempty"`
}
