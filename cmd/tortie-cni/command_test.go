package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestWhatTheRuntimeGetsToHear(t *testing.T) {
	good := map[string]string{"CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": "/nonexistent/netns", "CNI_PATH": "/nonexistent"}
	conf := func(version string) string {
		return `{"cniVersion":"` + version + `","name":"net","type":"tortie-cni","socket":"/nonexistent/cni.sock"}`
	}
	for _, c := range []struct {
		name, command, stdin string
		change               map[string]string
		code                 uint
		text                 string
	}{
		{name: "unknown command", command: "UPDATE", stdin: conf("1.0.0"), code: 4, text: "UPDATE"},
		{name: "nothing but the command", command: "ADD", stdin: conf("1.0.0"), code: 4, text: "CNI_PATH, CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS",
			change: map[string]string{"CNI_CONTAINERID": "", "CNI_IFNAME": "", "CNI_NETNS": "", "CNI_PATH": ""}},
		{name: "container ID", command: "DEL", stdin: conf("1.0.0"), code: 4, text: "CNI_CONTAINERID", change: map[string]string{"CNI_CONTAINERID": "../c"}},
		{name: "interface name", command: "DEL", stdin: conf("1.0.0"), code: 4, text: "CNI_IFNAME", change: map[string]string{"CNI_IFNAME": "sixteen-bytes-xx"}},
		{name: "interface name with space", command: "DEL", stdin: conf("1.0.0"), code: 4, text: "CNI_IFNAME", change: map[string]string{"CNI_IFNAME": "e 0"}},
		{name: "not JSON", command: "ADD", stdin: "{", code: 6, text: "not readable"},
		{name: "network name", command: "ADD", stdin: `{"cniVersion":"1.0.0","name":"a/b"}`, code: 7, text: "a/b"},
		{name: "no version", command: "ADD", stdin: `{"name":"net"}`, code: 1, text: "incompatible CNI versions"},
		{name: "version of tomorrow", command: "ADD", stdin: conf("9.0.0"), code: 1, text: "0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"},
		{name: "CHECK before it was", command: "CHECK", stdin: conf("0.3.1"), code: 1, text: "CHECK"},
		{name: "GC before it was", command: "GC", stdin: conf("1.0.0"), code: 1, text: "GC"},
		{name: "no namespace", command: "ADD", stdin: conf("1.0.0"), code: 8, text: "/nonexistent/netns"},
		{name: "own namespace", command: "ADD", stdin: conf("1.0.0"), code: 8, text: "own network namespace", change: map[string]string{"CNI_NETNS": "/proc/self/ns/net"}},
		{name: "no agent", command: "ADD", stdin: conf("1.0.0"), code: 11, text: "does not answer", change: map[string]string{"CNI_NETNS": "/proc/self/ns/net", "CNI_NETNS_OVERRIDE": "1"}},
		{name: "no agent for STATUS", command: "STATUS", stdin: conf("1.1.0"), code: 50, text: "does not answer"},
		{name: "too long", command: "ADD", stdin: strings.Repeat(" ", maxMessage+1), code: 7, text: "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := func(name string) string {
				if v, ok := c.change[name]; ok {
					return v
				}
				if name == "CNI_COMMAND" {
					return c.command
				}
				return good[name]
			}
			var out bytes.Buffer
			f := plugin{env: env, in: strings.NewReader(c.stdin), out: &out}.run()
			if f == nil || f.Code != c.code || !strings.Contains(f.Error(), c.text) || out.Len() != 0 {
				t.Errorf("got %+v and %q on stdout, want code %d and %q", f, out.String(), c.code, c.text)
			}
		})
	}
}
