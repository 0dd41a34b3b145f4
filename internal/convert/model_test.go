package convert

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/tortie-net/tortie/internal/model"
)

// testdata/model holds objects and the model made of them. Commands: model, with manifests; unreadable KIND NAME
// [namespace=NS].
func TestModel(t *testing.T) {
	files, err := filepath.Glob("testdata/model/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no files in testdata/model", err)
	}
	for _, file := range files {
		datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			if d.Cmd == "unreadable" {
				key := model.Key{Kind: model.Kind(d.CmdArgs[0].Key), Name: d.CmdArgs[1].Key}
				if len(d.CmdArgs) > 2 {
					key.Namespace = d.CmdArgs[2].Vals[0]
				}
				value, err := Unreadable(key, fmt.Errorf("json: unexpected end"))
				dump(&out, value, err)
				return out.String()
			}
			manifests, err := ParseManifest(strings.NewReader(d.Input), "f.yaml")
			if err != nil {
				return err.Error()
			}
			for _, m := range manifests {
				value, err := Model(m.Key, m.Value)
				dump(&out, value, err)
			}
			return out.String()
		})
	}
}

// dump writes a model value as text.
func dump(out *strings.Builder, value any, err error) {
	if err != nil {
		fmt.Fprintf(out, "error: %v\n", err)
	}
	switch v := value.(type) {
	case nil:
		fmt.Fprintln(out, "nil")
	case *model.Policy:
		fmt.Fprintf(out, "%s tier=%s order=%v\n  for %s\n", v.Key, v.Tier, v.Order, v.Subject)
		if v.Staged != "" {
			fmt.Fprintf(out, "  staged %s\n", v.Staged)
		}
		if v.DoNotTrack || v.PreDNAT || v.ApplyOnForward {
			fmt.Fprintf(out, "  doNotTrack=%t preDNAT=%t applyOnForward=%t\n", v.DoNotTrack, v.PreDNAT, v.ApplyOnForward)
		}
		if v.Invalid != "" {
			fmt.Fprintf(out, "  invalid: %s\n", v.Invalid)
		}
		dumpRules(out, "ingress", v.AppliesIngress, v.Ingress)
		dumpRules(out, "egress", v.AppliesEgress, v.Egress)
	case *model.Profile:
		fmt.Fprintf(out, "profile %s labels=%v\n", v.Name, v.Labels)
		dumpRules(out, "ingress", true, v.Ingress)
		dumpRules(out, "egress", true, v.Egress)
	default:
		fmt.Fprintf(out, "%+v\n", value)
	}
}

func dumpRules(out *strings.Builder, direction string, applies bool, rules []model.Rule) {
	if applies {
		fmt.Fprintf(out, "  %s\n", direction)
	} else if len(rules) > 0 {
		fmt.Fprintf(out, "  %s (does not apply)\n", direction)
	}
	for _, r := range rules {
		fmt.Fprintf(out, "    %s", r.Action)
		if r.IPVersion != 0 {
			fmt.Fprintf(out, " ipv%d", r.IPVersion)
		}
		if r.Protocol != 0 {
			fmt.Fprintf(out, " proto %d", r.Protocol)
		}
		if r.NotProtocol != 0 {
			fmt.Fprintf(out, " proto not %d", r.NotProtocol)
		}
		if r.ICMP.Set {
			fmt.Fprintf(out, " icmp %+v", r.ICMP)
		}
		if r.NotICMP.Set {
			fmt.Fprintf(out, " icmp not %+v", r.NotICMP)
		}
		fmt.Fprintf(out, "%s%s", dumpEntity(" from", r.Src), dumpEntity(" to", r.Dst))
		if len(r.Annotations) > 0 {
			fmt.Fprintf(out, " %v", r.Annotations)
		}
		fmt.Fprintln(out)
	}
}

func dumpEntity(side string, e model.Entity) string {
	var parts []string
	add := func(name string, list []netip.Prefix) {
		if len(list) > 0 {
			parts = append(parts, fmt.Sprintf("%s %v", name, list))
		}
	}
	add("nets", e.Nets)
	add("not nets", e.NotNets)
	if e.Selector != nil {
		parts = append(parts, "{ "+e.Selector.String()+" }")
	}
	if e.NotSelector != nil {
		parts = append(parts, "not { "+e.NotSelector.String()+" }")
	}
	for _, p := range []struct {
		name  string
		ports []model.Port
	}{{"ports", e.Ports}, {"not ports", e.NotPorts}} {
		var texts []string
		for _, port := range p.ports {
			switch {
			case port.Name != "":
				texts = append(texts, port.Name)
			case port.Min == port.Max:
				texts = append(texts, fmt.Sprint(port.Min))
			default:
				texts = append(texts, fmt.Sprintf("%d-%d", port.Min, port.Max))
			}
		}
		if texts != nil {
			parts = append(parts, p.name+" "+strings.Join(texts, ","))
		}
	}
	if e.Service != nil {
		parts = append(parts, "service "+e.Service.Namespace+"/"+e.Service.Name)
	}
	if parts == nil {
		return ""
	}
	return side + " " + strings.Join(parts, " ")
}
