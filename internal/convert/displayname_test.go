package convert

import (
	"testing"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

func TestDisplayName(t *testing.T) {
	for _, c := range []struct{ name, tier, annotation, want string }{
		{"default.old", "", "", "old"},
		{"default.old", "default", "", "old"},
		{"default.old", "security", "", "default.old"},
		{"security.old", "security", "", "security.old"},
		{"default.new", "", `{"name":"default.new"}`, "default.new"},
		{"default.mid", "", `{"name":"mid"}`, "mid"},
		{"default.odd", "", `{`, "default.odd"},
		{"plain", "", "", "plain"},
	} {
		policy := &v3.GlobalNetworkPolicy{Spec: v3.GlobalNetworkPolicySpec{Tier: c.tier}}
		if c.annotation != "" {
			policy.Annotations = map[string]string{annotationMetadata: c.annotation}
		}
		key := model.Key{Kind: model.KindGlobalNetworkPolicy, Name: c.name}
		if got := DisplayName(key, policy); got != c.want {
			t.Errorf("%+v: is %s", c, got)
		}
	}
	if got := DisplayName(model.Key{Kind: model.KindTier, Name: "default.x"}, &v3.Tier{}); got != "default.x" {
		t.Errorf("tier: is %s", got)
	}
}
