package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FelixProcessSpec holds settings of the agent as a process: its runtime, logs, health, metrics and reports.
type FelixProcessSpec struct {
	// FeatureDetectOverride switches kernel and tool features on or off regardless of what was detected:
	// "Name=true,Other=false".
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9-_]+=(true|false|),)*([a-zA-Z0-9-_]+=(true|false|))?$`
	FeatureDetectOverride string `json:"featureDetectOverride,omitempty"`
	// FeatureGates switches previews of features: "Name=value,Other=value".
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9-_]+=([^=]+),)*([a-zA-Z0-9-_]+=([^=]+))?$`
	FeatureGates string `json:"featureGates,omitempty"`
	// GoGCThreshold is the growth of the heap in percent that starts a garbage collection; -1 switches collection off.
	// Default 40.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	GoGCThreshold *int `json:"goGCThreshold,omitempty"`
	// GoMaxProcs is the number of CPUs the process uses at once; -1 leaves it to the runtime. Default -1.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	GoMaxProcs *int `json:"goMaxProcs,omitempty"`
	// GoMemoryLimitMB is the soft memory limit in MiB; -1 sets none. Default -1.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	GoMemoryLimitMB *int `json:"goMemoryLimitMB,omitempty"`
	// HealthEnabled serves liveness and readiness over HTTP. Default false.
	// +optional
	HealthEnabled *bool `json:"healthEnabled,omitempty"`
	// HealthHost is the address or name to which health is bound. Default localhost.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9:._+-]{1,64})?$`
	HealthHost string `json:"healthHost,omitempty"`
	// HealthPort is the TCP port of health. Default 9099.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	HealthPort *int `json:"healthPort,omitempty"`
	// HealthTimeoutOverrides replace watchdog timeouts of single parts of the agent.
	// +optional
	// +listType=atomic
	HealthTimeoutOverrides []HealthTimeoutOverride `json:"healthTimeoutOverrides,omitzero"`
	// LogActionRateLimit is how often a Log action may log, "N/second", "N/minute", "N/hour" or "N/day". Absent:
	// always.
	// +optional
	// +kubebuilder:validation:Pattern=`^(([1-9]\d{0,3}/(?:second|minute|hour|day))?)?$`
	LogActionRateLimit string `json:"logActionRateLimit,omitempty"`
	// LogActionRateLimitBurst is how many packets are logged before logActionRateLimit holds. Default 5.
	// +optional
	// +kubebuilder:validation:Minimum=0
	LogActionRateLimitBurst *int `json:"logActionRateLimitBurst,omitempty"`
	// LogDebugFilenameRegex limits debug messages to source files whose names match. Absent: all.
	// +optional
	LogDebugFilenameRegex string `json:"logDebugFilenameRegex,omitempty"`
	// LogFilePath is the log file; "none" writes none. Default /var/log/calico/felix.log.
	// +optional
	LogFilePath string `json:"logFilePath,omitempty"`
	// LogPrefix begins the kernel log line of a Log action; %t, %k, %n and %p stand for tier, kind, name and the
	// policy. Default calico-packet.
	// +optional
	LogPrefix string `json:"logPrefix,omitempty"`
	// LogSeverityFile is the least severity that goes to the log file. One of DEBUG, ERROR, FATAL, INFO, TRACE,
	// WARNING. Default INFO.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(DEBUG|ERROR|FATAL|INFO|TRACE|WARNING)?$`
	LogSeverityFile string `json:"logSeverityFile,omitempty"`
	// LogSeverityScreen is the least severity that goes to standard output. One of DEBUG, ERROR, FATAL, INFO, TRACE,
	// WARNING. Default INFO.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(DEBUG|ERROR|FATAL|INFO|TRACE|WARNING)?$`
	LogSeverityScreen string `json:"logSeverityScreen,omitempty"`
	// LogSeveritySys is the least severity that goes to syslog. One of DEBUG, ERROR, FATAL, INFO, TRACE, WARNING.
	// Default INFO.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(DEBUG|ERROR|FATAL|INFO|TRACE|WARNING)?$`
	LogSeveritySys string `json:"logSeveritySys,omitempty"`
	// PrometheusGoMetricsEnabled adds metrics of the Go runtime. Default true.
	// +optional
	PrometheusGoMetricsEnabled *bool `json:"prometheusGoMetricsEnabled,omitempty"`
	// PrometheusMetricsCAFile is the file of the authority that signs scrapers' certificates.
	// +optional
	PrometheusMetricsCAFile string `json:"prometheusMetricsCAFile,omitempty"`
	// PrometheusMetricsCertFile is the file of the server certificate of metrics. Absent: plain HTTP.
	// +optional
	PrometheusMetricsCertFile string `json:"prometheusMetricsCertFile,omitempty"`
	// PrometheusMetricsClientAuth says which certificate a scraper must show. One of NoClientCert,
	// RequireAndVerifyClientCert, RequireAnyClientCert, VerifyClientCertIfGiven. Default NoClientCert.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(NoClientCert|RequireAndVerifyClientCert|RequireAnyClientCert|VerifyClientCertIfGiven)?$`
	PrometheusMetricsClientAuth string `json:"prometheusMetricsClientAuth,omitempty"`
	// PrometheusMetricsEnabled serves metrics over HTTP. Default false.
	// +optional
	PrometheusMetricsEnabled *bool `json:"prometheusMetricsEnabled,omitempty"`
	// PrometheusMetricsHost is the address or name to which metrics are bound. Absent: all addresses.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9:._+-]{1,64})?$`
	PrometheusMetricsHost string `json:"prometheusMetricsHost,omitempty"`
	// PrometheusMetricsKeyFile is the file of the key of prometheusMetricsCertFile.
	// +optional
	PrometheusMetricsKeyFile string `json:"prometheusMetricsKeyFile,omitempty"`
	// PrometheusMetricsPort is the TCP port of metrics. Default 9091.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	PrometheusMetricsPort *int `json:"prometheusMetricsPort,omitempty"`
	// PrometheusProcessMetricsEnabled adds metrics of the process. Default true.
	// +optional
	PrometheusProcessMetricsEnabled *bool `json:"prometheusProcessMetricsEnabled,omitempty"`
	// PrometheusWireGuardMetricsEnabled adds metrics of WireGuard peers. Default true.
	// +optional
	PrometheusWireGuardMetricsEnabled *bool `json:"prometheusWireGuardMetricsEnabled,omitempty"`
	// WindowsManageFirewallRules opens the metrics ports in the firewall of Windows nodes. One of Disabled, Enabled.
	// Default Disabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Enabled)?$`
	WindowsManageFirewallRules string `json:"windowsManageFirewallRules,omitempty"`
	// EndpointReportingDelay is how long changes of endpoint status are gathered before they are written to the store.
	// Default 1s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	EndpointReportingDelay *metav1.Duration `json:"endpointReportingDelay,omitempty"`
	// EndpointReportingEnabled writes endpoint status to the store. Default false.
	// +optional
	EndpointReportingEnabled *bool `json:"endpointReportingEnabled,omitempty"`
	// MetadataAddr is the address or name of the OpenStack metadata server; "none" switches its translation off.
	// Default 127.0.0.1.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9_.-]+)?$`
	MetadataAddr string `json:"metadataAddr,omitempty"`
	// MetadataPort is the port of the OpenStack metadata server. Default 8775.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	MetadataPort *int `json:"metadataPort,omitempty"`
	// OpenstackRegion is the node's OpenStack region, a DNS label. Absent: none.
	// +optional
	OpenstackRegion string `json:"openstackRegion,omitempty"`
	// ReportingInterval is the time between writes of the agent's status to the store; 0 switches them off. Default
	// 30s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	ReportingInterval *metav1.Duration `json:"reportingInterval,omitempty"`
	// ReportingTTL is how long that status outlives its last write. Default 90s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	ReportingTTL *metav1.Duration `json:"reportingTTL,omitempty"`
	// FlowLogsCollectorDebugTrace logs each flow in full. Default false.
	// +optional
	FlowLogsCollectorDebugTrace *bool `json:"flowLogsCollectorDebugTrace,omitempty"`
	// FlowLogsFlushInterval is the time between two reports of flows. Default 300s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	FlowLogsFlushInterval *metav1.Duration `json:"flowLogsFlushInterval,omitempty"`
	// FlowLogsGoldmaneServer is the gRPC address to which flows are reported. Absent: none.
	// +optional
	FlowLogsGoldmaneServer string `json:"flowLogsGoldmaneServer,omitempty"`
	// FlowLogsLocalReporter serves flows on a unix socket of the node. One of Disabled, Enabled. Default Disabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Enabled)?$`
	FlowLogsLocalReporter string `json:"flowLogsLocalReporter,omitempty"`
	// FlowLogsPolicyEvaluationMode says whether a running flow is judged again when policy changes. One of Continuous,
	// None. Default Continuous.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Continuous|None)?$`
	FlowLogsPolicyEvaluationMode string `json:"flowLogsPolicyEvaluationMode,omitempty"`
	// AWSSrcDstCheck sets the source and destination check of the EC2 instance; DoNothing leaves it alone. One of
	// Disable, DoNothing, Enable. Default DoNothing.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disable|DoNothing|Enable)?$`
	AWSSrcDstCheck string `json:"awsSrcDstCheck,omitempty"`
	// DebugDisableLogDropping waits rather than drops messages when the log's buffer is full. Default false.
	// +optional
	DebugDisableLogDropping *bool `json:"debugDisableLogDropping,omitempty"`
	// DebugHost is the address or name to which profiles are bound. Default localhost.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9:._+-]{1,64})?$`
	DebugHost string `json:"debugHost,omitempty"`
	// DebugMemoryProfilePath is the file that a signal writes a heap profile to.
	// +optional
	DebugMemoryProfilePath string `json:"debugMemoryProfilePath,omitempty"`
	// DebugPort is the TCP port of profiles. Absent: none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	DebugPort *int `json:"debugPort,omitempty"`
	// DebugSimulateCalcGraphHangAfter makes the calculation hang after that time, for tests of the watchdog; 0 never.
	// Default 0s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	DebugSimulateCalcGraphHangAfter *metav1.Duration `json:"debugSimulateCalcGraphHangAfter,omitempty"`
	// DebugSimulateDataplaneApplyDelay delays each change of the kernel, for tests; 0 not at all. Default 0s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	DebugSimulateDataplaneApplyDelay *metav1.Duration `json:"debugSimulateDataplaneApplyDelay,omitempty"`
	// DebugSimulateDataplaneHangAfter makes the data plane hang after that time, for tests of the watchdog; 0 never.
	// Default 0s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	DebugSimulateDataplaneHangAfter *metav1.Duration `json:"debugSimulateDataplaneHangAfter,omitempty"`
	// UsageReportingEnabled sends version and size of the cluster to the project. Default true.
	// +optional
	UsageReportingEnabled *bool `json:"usageReportingEnabled,omitempty"`
	// UsageReportingInitialDelay is the least time before the first such report. Default 300s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	UsageReportingInitialDelay *metav1.Duration `json:"usageReportingInitialDelay,omitempty"`
	// UsageReportingInterval is the time between such reports. Default 86400s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	UsageReportingInterval *metav1.Duration `json:"usageReportingInterval,omitempty"`
}
