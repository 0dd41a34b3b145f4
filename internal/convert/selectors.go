package convert

import (
	"errors"
	"sort"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// The prefixes under which an endpoint inherits the labels of its namespace and service account (R50, R51).
const (
	namespacePrefix      = "pcns."
	serviceAccountPrefix = "pcsa."
	labelName            = "projectcalico.org/name" // under either prefix: the name of the namespace or service account
	orchestratorK8s      = "k8s"
)

// maxSelector is the longest selector of one field, in bytes (spec/api.md appendix E).
const maxSelector = 1024

// parseSelector reads the selector of one field; nil when it is empty or wrong. Longer ones than a writer may give are
// accepted from a store up to selector.MaxLength.
func (p *problems) parseSelector(path, text string) *selector.Selector {
	if text == "" {
		return nil
	}
	if len(text) > maxSelector {
		p.strictly(path, text, "must be at most %d bytes, not %d", maxSelector, len(text))
	}
	s, err := selector.Parse(text)
	if err != nil {
		var syntax *selector.SyntaxError
		if errors.As(err, &syntax) {
			p.add(path, text, "at byte %d: %s", syntax.Pos, syntax.Msg)
		} else {
			p.add(path, text, "%v", err)
		}
		return nil
	}
	return s
}

// parseLocalSelector is parseSelector for every field but the namespaceSelector of a rule: global() has no meaning there.
func (p *problems) parseLocalSelector(path, text string) *selector.Selector {
	s := p.parseSelector(path, text)
	if s != nil && s.UsesGlobal() {
		p.add(path, text, "global() can only be used in the namespaceSelector of a rule")
		return nil
	}
	return s
}

// and joins what there is; nil when there is nothing.
func and(parts ...*selector.Selector) *selector.Selector {
	var some []*selector.Selector
	for _, s := range parts {
		if s != nil {
			some = append(some, s)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return selector.And(some...)
}

// inNamespace selects what belongs to a namespace; nil for none.
func inNamespace(namespace string) *selector.Selector {
	if namespace == "" {
		return nil
	}
	return selector.Equals(model.LabelNamespace, namespace)
}

// kubernetesSelector is a Kubernetes label selector (R45); prefix goes before each key. An empty one is all().
func (p *problems) kubernetesSelector(path, prefix string, ls *metav1.LabelSelector) *selector.Selector {
	keys := make([]string, 0, len(ls.MatchLabels))
	for k := range ls.MatchLabels {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var parts []*selector.Selector
	for _, k := range keys {
		if p.labelKey(path+".matchLabels", k) && p.selectorValue(path+".matchLabels["+k+"]", ls.MatchLabels[k]) {
			parts = append(parts, selector.Equals(prefix+k, ls.MatchLabels[k]))
		}
	}
	for i, e := range ls.MatchExpressions {
		at := index(path+".matchExpressions", i)
		if s := p.requirement(at, prefix, e); s != nil {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return selector.All()
	}
	return and(parts...)
}

func (p *problems) requirement(path, prefix string, e metav1.LabelSelectorRequirement) *selector.Selector {
	if !p.labelKey(path+".key", e.Key) {
		return nil
	}
	for i, v := range e.Values {
		if !p.selectorValue(index(path+".values", i), v) {
			return nil
		}
	}
	key := prefix + e.Key
	switch e.Operator {
	case metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn:
		if len(e.Values) == 0 {
			p.add(path+".values", nil, "operator %s needs at least one value", e.Operator)
			return nil
		}
		if e.Operator == metav1.LabelSelectorOpIn {
			return selector.In(key, e.Values...)
		}
		return selector.NotIn(key, e.Values...)
	case metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist:
		if len(e.Values) != 0 {
			p.add(path+".values", nil, "operator %s takes no values", e.Operator)
			return nil
		}
		if e.Operator == metav1.LabelSelectorOpExists {
			return selector.Has(key)
		}
		return selector.Not(selector.Has(key))
	}
	p.add(path+".operator", string(e.Operator), "%s", oneOf("In", "NotIn", "Exists", "DoesNotExist"))
	return nil
}
