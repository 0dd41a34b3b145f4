package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/lab"
	"github.com/tortie-net/tortie/internal/query"
)

// Settings of FelixConfiguration that concern the host: routes, ports, files, names.
func TestFelixHostFields(t *testing.T) {
	l := startLab(t, fmt.Sprintf(settingsLab, "host"))
	a := placeOf(t, l, "a")
	ns, err := l.Namespace("host-1")
	if err != nil {
		t.Fatal(err)
	}
	get := func(url string) (string, error) {
		client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, network, addr string) (conn net.Conn, err error) {
			err = ns.Do(func() error { conn, err = net.DialTimeout(network, addr, time.Second); return err })
			return conn, err
		}}}
		res, err := client.Get(url)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.Status + " " + string(body), err
	}
	t.Run("health", func(t *testing.T) {
		if _, err := get("http://127.0.0.1:9099/readiness"); err == nil {
			t.Error("health answers although healthEnabled is false")
		}
		apply(t, l, felix("healthEnabled: true, healthHost: 127.0.0.1, healthPort: 9199"))
		become(t, "/readiness", func() error {
			text, err := get("http://127.0.0.1:9199/readiness")
			return errors.Join(err, mustContain(text, "200"))
		})
		text, err := get("http://127.0.0.1:9199/liveness")
		if err = errors.Join(err, mustContain(text, "200")); err != nil {
			t.Error(err)
		}
	})
	t.Run("metrics", func(t *testing.T) {
		apply(t, l, felix("prometheusMetricsEnabled: true, prometheusMetricsHost: 172.30.12.10, prometheusMetricsPort: 9191"))
		become(t, "/metrics", func() error {
			text, err := get("http://172.30.12.10:9191/metrics")
			return errors.Join(err, mustContain(text, "felix_active_local_endpoints 1"))
		})
	})
	t.Run("logSeverityScreen", func(t *testing.T) {
		lines := func() int { return strings.Count(l.Logs(1000), "level=DEBUG") }
		if n := lines(); n > 0 {
			t.Errorf("%d debug lines at level Info", n)
		}
		before := strings.Count(l.Logs(100000), "cni request done")
		apply(t, l, felix("logSeverityScreen: Error"))
		time.Sleep(time.Second)
		w := &lab.Workload{Name: "quiet", Namespace: "default", Node: "host-1", Ports: []lab.Port{{Port: 1, Protocol: "TCP"}}}
		if _, err := l.Prepare(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Attach(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(l.Logs(100000), "cni request done"); n != before {
			t.Errorf("an ADD was logged at level Error: %d lines, were %d", n, before)
		}
		apply(t, l, felix("logSeverityScreen: Info"))
		time.Sleep(time.Second)
		if err := l.Detach(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		become(t, "logged again", func() error {
			if strings.Count(l.Logs(100000), "cni request done") == before {
				return errors.New("a DEL was not logged at level Info")
			}
			return nil
		})
	})
	t.Run("routes", func(t *testing.T) {
		routes := func() string { return inside(t, ns, "ip", "route") + inside(t, ns, "ip", "-6", "route") }
		apply(t, l, felix("deviceRouteProtocol: 222, ipv4NormalRoutePriority: 77, ipv6NormalRoutePriority: 78"))
		become(t, "protocol and metrics", func() error {
			text := routes()
			var errs []error
			for _, want := range []string{
				a.addr[4].String() + " dev cali", "proto 222 scope link metric 77", a.addr[6].String() + " dev cali", "proto 222 metric 78",
			} {
				errs = append(errs, mustContain(text, want))
			}
			return errors.Join(errs...)
		})
		apply(t, l, felix("removeExternalRoutes: false"))
		time.Sleep(settleTime)
		link := strings.Fields(inside(t, ns, "ip", "-o", "route", "get", a.addr[4].String()))
		dev := link[slices.Index(link, "dev")+1]
		inside(t, ns, "ip", "route", "add", "192.0.2.1/32", "dev", dev, "proto", "static")
		time.Sleep(time.Second)
		if !strings.Contains(routes(), "192.0.2.1") {
			t.Error("removeExternalRoutes false: somebody's route over a workload's interface was removed")
		}
		apply(t, l, felix("removeExternalRoutes: true"))
		become(t, "the route of somebody else goes", func() error {
			if strings.Contains(routes(), "192.0.2.1") {
				return errors.New("it is still there")
			}
			return nil
		})
	})
	t.Run("programClusterRoutes", func(t *testing.T) {
		x := placeOf(t, l, "x")
		way := func() string { return inside(t, ns, "ip", "route", "get", x.addr[4].String()) }
		become(t, "route to the other node", func() error { return mustContain(way(), "via 172.30.12.11") })
		apply(t, l, object("FelixConfiguration", "default", "programClusterRoutes: Disabled"))
		become(t, "no route", func() error { return mustContain(way(), "via 172.30.12.1 ") })
		apply(t, l, felix(""))
		become(t, "route again", func() error { return mustContain(way(), "via 172.30.12.11") })
	})
	t.Run("ipForwarding", func(t *testing.T) {
		sysctls := kernel.Sysctls{Namespace: ns}
		is := func(want string) func() error {
			return func() error {
				got, err := sysctls.Read("net/ipv4/ip_forward")
				if err == nil && got != want {
					err = fmt.Errorf("ip_forward is %s", got)
				}
				return err
			}
		}
		become(t, "forwarding on", is("1"))
		if err := sysctls.Write("net/ipv4/ip_forward", "0"); err != nil {
			t.Fatal(err)
		}
		become(t, "forwarding mended", is("1"))
		apply(t, l, felix("ipForwarding: Disabled"))
		time.Sleep(settleTime)
		if err := sysctls.Write("net/ipv4/ip_forward", "0"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond) // the plane looks each second
		if err := is("0")(); err != nil {
			t.Errorf("ipForwarding Disabled: %v", err)
		}
		apply(t, l, felix(""))
		become(t, "forwarding on again", is("1"))
	})
	t.Run("interfacePrefix", func(t *testing.T) {
		apply(t, l, felix(`interfacePrefix: "pod,cali"`))
		time.Sleep(settleTime)
		w := &lab.Workload{Name: "named", Namespace: "default", Node: "host-1", Ports: []lab.Port{{Port: 1, Protocol: "TCP"}}}
		if _, err := l.Prepare(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Attach(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		links := inside(t, ns, "ip", "-o", "link")
		if !strings.Contains(links, ": pod") || !strings.Contains(links, ": cali") {
			t.Errorf("links:\n%s", links)
		}
	})
	t.Run("settings of one node", func(t *testing.T) { // node.NAME over default, the environment over all
		apply(t, l, felix("healthEnabled: true, healthHost: 127.0.0.1, healthPort: 9299")+
			object("FelixConfiguration", "node.host-1", "healthPort: 9399"))
		become(t, "the node's own port", func() error {
			text, err := get("http://127.0.0.1:9399/readiness")
			return errors.Join(err, mustContain(text, "200"))
		})
	})
}

// The environment of an agent beats the store; what cannot be used is named and passed over.
func TestSettingsOfTheEnvironment(t *testing.T) {
	t.Setenv("FELIX_HEALTHENABLED", "true")
	t.Setenv("FELIX_HealthPort", "9499")
	t.Setenv("FELIX_DEFAULTENDPOINTTOHOSTACTION", "Maybe")
	l := startLab(t, fmt.Sprintf(settingsLab, "environ"))
	apply(t, l, felix("healthEnabled: false, healthPort: 9599, defaultEndpointToHostAction: Accept"))
	places := map[string]place{"a": placeOf(t, l, "a"), "node1": nodePlace(t, l, "environ-1", "172.30.12.10")}
	listen(t, places["node1"].ns, 7001)
	check(t, places, "a node1 tcp/7001 ok v4")
	become(t, "health on the port of the environment", func() error {
		var conn net.Conn
		if err := places["node1"].ns.Do(func() (err error) { conn, err = net.DialTimeout("tcp", "localhost:9499", time.Second); return err }); err != nil {
			return err
		}
		return conn.Close()
	})
	s, err := l.Status(t.Context(), "environ-1")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(s.Problems, func(p query.Problem) bool {
		return strings.Contains(p.Reason, "environment") && strings.Contains(p.Reason, "Maybe") && strings.Contains(p.Reason, "Drop, Accept, Return")
	}) {
		t.Errorf("status does not name the variable that cannot be used: %v", s.Problems)
	}
}

// ClusterInformation.datastoreReady false holds every ADD back (a migration is under way), and DEL not.
func TestDatastoreReady(t *testing.T) {
	l := startLab(t, fmt.Sprintf(settingsLab, "locked"))
	raw := rawStore(t, l) // as a migration's tool sets it: to the command line the object is read-only
	set := func(ready bool) {
		t.Helper()
		const key = "/calico/resources/v3/projectcalico.org/clusterinformations/default"
		got, err := raw.Get(t.Context(), key)
		if err != nil || len(got.Kvs) != 1 {
			t.Fatal(got, err)
		}
		var o map[string]any
		if err := json.Unmarshal(got.Kvs[0].Value, &o); err != nil {
			t.Fatal(err)
		}
		o["spec"].(map[string]any)["datastoreReady"] = ready
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Put(t.Context(), key, string(text)); err != nil {
			t.Fatal(err)
		}
	}
	set(false)
	time.Sleep(settleTime)
	w := &lab.Workload{Name: "late", Namespace: "default", Node: "locked-1", Ports: []lab.Port{{Port: 1, Protocol: "TCP"}}}
	if _, err := l.Prepare(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	_, err := l.Attach(t.Context(), w)
	if err == nil || !strings.Contains(err.Error(), "datastoreReady is false") || !strings.Contains(strings.ReplaceAll(err.Error(), " ", ""), `"code":11`) {
		t.Errorf("ADD in a locked store: %v; want code 11 with the reason", err)
	}
	if err := l.Detach(t.Context(), w); err != nil {
		t.Errorf("DEL in a locked store: %v", err)
	}
	set(true)
	become(t, "ADD again", func() error { _, err := l.Attach(t.Context(), w); return err })
}

// Node.spec.bgp's addresses are the agent's to find and to write, and other nodes' to route by.
func TestNodeAddresses(t *testing.T) {
	l := startLab(t, fmt.Sprintf(settingsLab, "addr"))
	out, err := l.Output(t.Context(), nil, "get", "node", "addr-2", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var node struct {
		Spec struct {
			BGP struct{ IPv4Address, IPv6Address string } `json:"bgp"`
		} `json:"spec"`
	}
	if err := json.Unmarshal([]byte(out), &node); err != nil {
		t.Fatal(err)
	}
	if node.Spec.BGP.IPv4Address != "172.30.12.11/24" || node.Spec.BGP.IPv6Address != "fd00:30:12::b/64" {
		t.Errorf("addresses are %+v", node.Spec.BGP)
	}
	ns, err := l.Namespace("addr-1")
	if err != nil {
		t.Fatal(err)
	}
	x := placeOf(t, l, "x")
	ways := func(family int) string {
		return inside(t, ns, "ip", "-"+strconv.Itoa(family), "route", "get", x.addr[family].String())
	}
	become(t, "routes by the addresses", func() error {
		return errors.Join(mustContain(ways(4), "via 172.30.12.11"), mustContain(ways(6), "via fd00:30:12::b"))
	})
	if out, err := l.Output(t.Context(), nil, "patch", "node", "addr-2", "--type", "merge", "-p",
		`{"spec":{"bgp":{"ipv4Address":"172.30.12.77/24","ipv6Address":"fd00:30:12::77/64"}}}`); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	become(t, "routes by other addresses", func() error {
		return errors.Join(mustContain(ways(4), "via 172.30.12.77"), mustContain(ways(6), "via fd00:30:12::77"))
	})
}
