package convert

import (
	"encoding/json"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
)

// DisplayName is the name of an object as its user knows it. It is the name in the key, but for policies of the four
// tiered kinds that older releases wrote: those kept the user's name in an annotation or, without one, put "default."
// before the name of a policy in tier default (spec/store-layout.md trap 2). Such an object is still found by its key
// only.
func DisplayName(key model.Key, value any) string {
	source, ok := policyOf(value)
	if !ok {
		return key.Name
	}
	var metadata struct {
		Name string `json:"name"`
	}
	if o, ok := value.(object); ok {
		if text, ok := o.GetAnnotations()[annotationMetadata]; ok {
			if err := json.Unmarshal([]byte(text), &metadata); err == nil && metadata.Name != "" {
				return metadata.Name
			}
			return key.Name
		}
	}
	if tierName(source.Tier) == model.TierDefault {
		return strings.TrimPrefix(key.Name, model.TierDefault+".")
	}
	return key.Name
}
