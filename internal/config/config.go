package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// Source is where settings come from: by parameter name (as in FelixConfiguration, or as in the environment and files,
// without FELIX_; case does not matter) their text. Name is for messages: "environment",
// "FelixConfiguration/node.n1".
type Source struct {
	Name   string
	Values map[string]string
}

// Values is the settings of one node, all of them usable.
type Values struct {
	InterfacePrefixes    []string // 1 to 15 characters each
	EndpointToHost       string   // Drop, Accept or Return
	DenyAction           string   // Drop or Reject
	IPv6                 bool
	IPForwarding         bool
	DisableInvalidCheck  bool
	AllowVXLANFromPods   bool
	AllowIPIPFromPods    bool
	VXLANPort            uint16
	LogPrefix            string
	LogRate              string // "" or "10/minute"
	LogBurst             int
	MarkMask             uint32
	RoutePriority4       int // metric, 1 to 2147483646
	RoutePriority6       int
	DeviceRouteProtocol  int // 1 to 255
	RemoveExternalRoutes bool
	RouteRefresh         time.Duration // 0: off
	ClusterRoutes        model.ClusterRoutes
	NATExclusions        string     // IPPoolsOnly or IPPoolsAndHostIPs
	NATOutgoingAddress   netip.Addr // IPv4; zero: none
	NATPorts             [2]uint16  // lowest and highest; zero: any
	SourceSpoofing       string     // Disabled or Any
	MetricsEnabled       bool
	MetricsHost          string
	MetricsPort          uint16
	HealthEnabled        bool
	HealthHost           string
	HealthPort           uint16
	LogSeverity          string // Trace, Debug, Info, Warning, Error or Fatal
	FailsafeInbound      []ProtoPort
	FailsafeOutbound     []ProtoPort
}

// ProtoPort is an entry of a list of ports: protocol number, port, and the networks that it is for (zero: all).
type ProtoPort struct {
	Protocol uint8
	Port     uint16
	Net      netip.Prefix
}

// Problem is a value that cannot be used. Err says what is allowed.
type Problem struct {
	Source    string
	Parameter string
	Value     string
	Err       error
}

func (p Problem) Error() string {
	return fmt.Sprintf("%s: %s %q: %v", p.Source, p.Parameter, p.Value, p.Err)
}

func (p Problem) Unwrap() error { return p.Err }

// Resolve takes each parameter from the first source that has a usable value, else its default. The sources come with
// the strongest first. Parameters that Tortie does not act on are passed over: whoever accepts an object reports these.
func Resolve(sources ...Source) (Values, []Problem) {
	folded := make([]map[string]string, len(sources))
	for i, s := range sources {
		folded[i] = make(map[string]string, len(s.Values))
		// Two spellings of one name in one source: the first in order of the alphabet.
		for _, name := range slices.Sorted(maps.Keys(s.Values)) {
			if key := strings.ToLower(name); folded[i][key] == "" {
				folded[i][key] = s.Values[name]
			}
		}
	}
	var values Values
	var problems []Problem
	for _, p := range parameters() {
		if !fromSources(&values, p, sources, folded, &problems) {
			// The defaults are tested to be usable.
			_ = p.set(&values, p.text)
		}
	}
	return values, problems
}

// fromSources sets a parameter from the first usable source; false: there is none.
func fromSources(v *Values, p parameter, sources []Source, folded []map[string]string, problems *[]Problem) bool {
	for i, source := range sources {
		given, ok := folded[i][strings.ToLower(p.name)]
		if !ok {
			given, ok = folded[i][strings.ToLower(p.alias)]
		}
		given = strings.TrimSpace(given)
		if !ok || given == "" {
			continue
		}
		err := p.set(v, given)
		if err == nil {
			return true
		}
		*problems = append(*problems, Problem{Source: source.Name, Parameter: p.name, Value: given, Err: err})
	}
	return false
}

// Environment makes a source of environment variables in the form "FELIX_NAME=value"; others are passed over.
func Environment(environ []string) Source {
	s := Source{Name: "environment", Values: map[string]string{}}
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if name, felix := strings.CutPrefix(strings.ToUpper(name), "FELIX_"); ok && felix {
			s.Values[name] = value
		}
	}
	return s
}

// GracefulRestart is how long a BGP peer keeps routes over a restart, where nothing else is said.
const GracefulRestart = 120 * time.Second

// Duration reads a time as Go writes it ("90s", "1m30s") or as a number of seconds ("90", "0.5"). Negative times are
// refused.
func Duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("must be a duration such as 90s or 1m30s, or a number of seconds, not negative")
	}
	return d, nil
}

// Time is a span of time, for packages that must not read clocks and so do not import time.
type Time = time.Duration
