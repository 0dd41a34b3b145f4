package config_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tortie-net/tortie/internal/config"
	"github.com/tortie-net/tortie/internal/model"
)

// TestDefaults: without any source the values are those of spec/felix-parameters.md.
func TestDefaults(t *testing.T) {
	got, problems := config.Resolve()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	tcp := func(ports ...uint16) (list []config.ProtoPort) {
		for _, p := range ports {
			list = append(list, config.ProtoPort{Protocol: model.ProtoTCP, Port: p})
		}
		return list
	}
	udp := func(p uint16) config.ProtoPort { return config.ProtoPort{Protocol: model.ProtoUDP, Port: p} }
	cluster := tcp(179, 2379, 2380, 5473, 6443, 6666, 6667)
	want := config.Values{
		InterfacePrefixes: []string{"cali"}, EndpointToHost: "Drop", DenyAction: "Drop", IPv6: true, IPForwarding: true,
		VXLANPort: 4789, LogPrefix: "calico-packet", LogBurst: 5, MarkMask: 0xffff0000, RoutePriority4: 1024,
		RoutePriority6: 1024, DeviceRouteProtocol: 3, RemoveExternalRoutes: true, RouteRefresh: 90 * time.Second,
		ClusterRoutes: model.ClusterRoutesIPIPOnly, NATExclusions: "IPPoolsOnly", SourceSpoofing: "Disabled",
		MetricsPort: 9091, HealthHost: "localhost", HealthPort: 9099, LogSeverity: "Info",
		FailsafeInbound:  slices.Concat(tcp(22), []config.ProtoPort{udp(68)}, cluster),
		FailsafeOutbound: slices.Concat([]config.ProtoPort{udp(53), udp(67)}, cluster),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("defaults differ (-want +got):\n%s", diff)
	}
}

// TestPrecedence: the first source with a usable value counts; what cannot be used is passed over and reported.
func TestPrecedence(t *testing.T) {
	environment := config.Environment([]string{
		"FELIX_VXLANPORT=4800", "FELIX_HEALTHPORT=99999", "FELIX_PROMETHEUSMETRICSPORT=", "VXLANPORT=1", "PATH=/bin",
	})
	own := config.Source{Name: "FelixConfiguration/node.n1", Values: map[string]string{"healthPort": "1000", "vxlanPort": "2"}}
	global := config.Source{Name: "FelixConfiguration/default", Values: map[string]string{
		"healthPort": "2000", "prometheusMetricsPort": "3000", "ipv6Support": "perhaps", "someOtherParameter": "x",
	}}
	v, problems := config.Resolve(environment, own, global)
	if v.VXLANPort != 4800 || v.HealthPort != 1000 || v.MetricsPort != 3000 || !v.IPv6 {
		t.Errorf("VXLANPort %d, HealthPort %d, MetricsPort %d, IPv6 %t", v.VXLANPort, v.HealthPort, v.MetricsPort, v.IPv6)
	}
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Error())
	}
	want := []string{
		`FelixConfiguration/default: ipv6Support "perhaps": must be one of true, false`,
		`environment: healthPort "99999": must be a port number from 0 to 65535`,
	}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("problems differ (-want +got):\n%s", diff)
	}
}

// TestValues: what each parameter accepts, and what it says of the rest.
func TestValues(t *testing.T) {
	tests := []struct {
		parameter, text string
		problem         string // part of it; empty: accepted
		check           func(config.Values) any
		want            any
	}{
		{"interfacePrefix", "cali,tap", "", func(v config.Values) any { return strings.Join(v.InterfacePrefixes, "+") }, "cali+tap"},
		{"interfacePrefix", "cali,", "1 to 15 of letters", nil, nil},
		{"interfacePrefix", "sixteenlettersxx", "1 to 15 of letters", nil, nil},
		{"defaultEndpointToHostAction", "RETURN", "", func(v config.Values) any { return v.EndpointToHost }, "Return"},
		{"defaultEndpointToHostAction", "open", "Drop, Accept, Return", nil, nil},
		{"nftablesFilterDenyAction", "reject", "", func(v config.Values) any { return v.DenyAction }, "Reject"},
		{"ipForwarding", "disabled", "", func(v config.Values) any { return v.IPForwarding }, false},
		{"ipForwarding", "true", "Enabled, Disabled", nil, nil},
		{"vxlanPort", "0", "from 1 to 65535", nil, nil},
		{"logPrefix", strings.Repeat("x", 128), "at most 127 bytes", nil, nil},
		{"logActionRateLimit", "10/minute", "", func(v config.Values) any { return v.LogRate }, "10/minute"},
		{"logActionRateLimit", "10/week", "10/minute", nil, nil},
		{"logActionRateLimit", "0/second", "1 to 9999", nil, nil},
		{"logActionRateLimitBurst", "10000", "from 0 to 9999", nil, nil},
		{"nftablesMarkMask", "0xff000000", "", func(v config.Values) any { return v.MarkMask }, uint32(0xff000000)},
		{"nftablesMarkMask", "1", "at least 2 bits", nil, nil},
		{"nftablesMarkMask", "0x1ffffffff", "32-bit", nil, nil},
		{"ipv4NormalRoutePriority", "2147483647", "from 1 to 2147483646", nil, nil},
		{"routeRefreshInterval", "1m30s", "", func(v config.Values) any { return v.RouteRefresh }, 90 * time.Second},
		{"routeRefreshInterval", "0.5", "", func(v config.Values) any { return v.RouteRefresh }, 500 * time.Millisecond},
		{"routeRefreshInterval", "-1", "not negative", nil, nil},
		{"programClusterRoutes", "enablednoencaponly", "", func(v config.Values) any { return v.ClusterRoutes }, model.ClusterRoutesNoEncapOnly},
		{"programClusterRoutes", "yes", "Disabled, Enabled, EnabledIPIPOnly, EnabledNoEncapOnly", nil, nil},
		{"natOutgoingAddress", "192.0.2.1", "", func(v config.Values) any { return v.NATOutgoingAddress.String() }, "192.0.2.1"},
		{"natOutgoingAddress", "::1", "IPv4 address", nil, nil},
		{"natPortRange", "20000:29999", "", func(v config.Values) any { return v.NATPorts }, [2]uint16{20000, 29999}},
		{"natPortRange", "5:1", "lowest first", nil, nil},
		{"prometheusMetricsHost", "a b", "host name", nil, nil},
		{"failsafeInboundHostPorts", "none", "", func(v config.Values) any { return len(v.FailsafeInbound) }, 0},
		{"failsafeInboundHostPorts", "udp:10.0.0.0/8:53, 22", "", func(v config.Values) any { return v.FailsafeInbound[0].Net.String() }, "10.0.0.0/8"},
		{"failsafeInboundHostPorts", "tcp:[2001:db8::]/32:53", "", func(v config.Values) any { return v.FailsafeInbound[0].Net.String() }, "2001:db8::/32"},
		{"failsafeInboundHostPorts", "tcp:[2001:db8::/32]:53", "", func(v config.Values) any { return v.FailsafeInbound[0].Net.String() }, "2001:db8::/32"},
		{"failsafeInboundHostPorts", "icmp:1", "tcp, udp or sctp", nil, nil},
		{"failsafeInboundHostPorts", "tcp:99999", "tcp, udp or sctp", nil, nil},
	}
	for _, test := range tests {
		t.Run(test.parameter+"="+test.text, func(t *testing.T) {
			v, problems := config.Resolve(config.Source{Name: "test", Values: map[string]string{test.parameter: test.text}})
			if test.problem != "" {
				if len(problems) != 1 || !strings.Contains(problems[0].Error(), test.problem) {
					t.Fatalf("problems %v, must be one with %q", problems, test.problem)
				}
				return
			}
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if got := test.check(v); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
