package etcd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// span is a range of etcd keys: from start, up to and without end.
type span struct {
	start, end string
}

// exactly is the span of one key, below is that of all keys with a prefix.
func exactly(key string) span { return span{key, key + "\x00"} }

func below(prefix string) span {
	last := prefix[len(prefix)-1] // a slash in every prefix here, so that it cannot overflow
	return span{prefix, prefix[:len(prefix)-1] + string(last+1)}
}

// spansOf are the ranges that hold the objects of a kind, in one namespace where that is set.
func spansOf(kind model.Kind, namespace string) ([]span, error) {
	switch kind {
	case model.KindBlock, model.KindHandle, model.KindIPAMConfig:
		switch {
		case namespace != "":
			return nil, nil
		case kind == model.KindBlock:
			return []span{below(ipamBlocks)}, nil
		case kind == model.KindHandle:
			return []span{below(ipamHandles)}, nil
		}
		return []span{exactly(ipamConfigKey)}, nil
	case model.KindAffinity:
		if namespace == "" {
			return []span{below(ipamHosts), below(ipamVirtual)}, nil
		}
		owner, err := ownerPath(model.Key{Kind: kind, Namespace: namespace})
		if err != nil {
			return nil, err
		}
		return []span{below(owner)}, nil
	}
	f, ok := forms[kind]
	switch {
	case !ok:
		return nil, fmt.Errorf("kind %q: %w: this kind is not stored in etcd", kind, store.ErrInvalid)
	case namespace == "":
		return []span{below(f.root)}, nil
	case !f.namespaced:
		return nil, nil // no object of this kind is in any namespace
	}
	return []span{below(f.root + namespace + "/")}, nil
}

// watchSpans are the fewest ranges that one watch must follow: the kind's own when only one is asked for, else one
// per root that holds any. The whole stretch between the roots is never taken: another program's keys may lie there.
func watchSpans(q store.Query) ([]span, error) {
	var all []span
	for _, kind := range q.Kinds {
		spans, err := spansOf(kind, q.Namespace)
		if err != nil {
			return nil, err
		}
		all = append(all, spans...)
	}
	if len(all) < 2 {
		return all, nil
	}
	var merged []span
	for _, root := range []string{"/calico/", kubernetesRoot} {
		for _, common := range []string{resourceRoot, ipamRoot, root} { // the narrowest that covers all under this root
			inRoot := slices.DeleteFunc(slices.Clone(all), func(s span) bool { return !strings.HasPrefix(s.start, root) })
			outside := slices.ContainsFunc(inRoot, func(s span) bool { return !strings.HasPrefix(s.start, common) })
			if len(inRoot) > 0 && !outside {
				merged = append(merged, below(common))
				break
			}
		}
	}
	return merged, nil
}

// wants says whether a query asks for an object.
func wants(q store.Query, key model.Key) bool {
	return (q.Namespace == "" || q.Namespace == key.Namespace) && slices.Contains(q.Kinds, key.Kind)
}
