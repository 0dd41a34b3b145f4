package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
)

// target is objects that a command line names: all of a kind when no name is given.
type target struct {
	kind  convert.KindInfo
	names []name
}

// name is an object's; namespace is empty where the command line leaves it to -n.
type name struct{ namespace, name string }

// lookupKind finds a kind by any of its names, also with its API group as in "networkpolicy.projectcalico.org".
func lookupKind(text string) (convert.KindInfo, error) {
	if info, ok := convert.Lookup(text); ok {
		return info, nil
	}
	if short, wanted, ok := strings.Cut(text, "."); ok {
		if info, ok := convert.Lookup(short); ok && strings.EqualFold(apiGroup(info), wanted) {
			return info, nil
		}
	}
	if near := nearKinds(text); len(near) > 0 {
		return convert.KindInfo{}, usagef("kind %q: there is no such kind: did you mean %s?", text, strings.Join(near, " or "))
	}
	return convert.KindInfo{}, usagef("kind %q: there is no such kind: must be %s", text, strings.Join(kindNames(), ", "))
}

func apiGroup(info convert.KindInfo) string {
	group, _, ok := strings.Cut(info.APIVersion, "/")
	if !ok {
		return ""
	}
	return group
}

// kindNames is the plural of every kind.
func kindNames() []string {
	var out []string
	for _, info := range convert.Kinds() {
		out = append(out, info.Plural)
	}
	return out
}

// nearKinds is up to three kinds whose names a typing mistake may have made this text of.
func nearKinds(text string) []string {
	text = strings.ToLower(text)
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	for _, info := range convert.Kinds() {
		best := len(text)
		for _, n := range append([]string{info.Plural, info.Singular}, info.Short...) {
			d := distance(text, n)
			if len(text) >= 3 && (strings.HasPrefix(n, text) || strings.HasPrefix(text, n) && len(n) > 3) {
				d = min(d, 1)
			}
			best = min(best, d)
		}
		if best <= max(1, len(text)/4) {
			near = append(near, candidate{info.Plural, best})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return a.distance - b.distance })
	var out []string
	for _, c := range near[:min(3, len(near))] {
		out = append(out, c.name)
	}
	return out
}

// distance counts the insertions, deletions and changes of a byte that make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// parseTargets reads "KIND[,KIND…] [NAME…]" or "KIND/[NAMESPACE/]NAME…". "all" is every kind.
func parseTargets(args []string) ([]target, error) {
	if len(args) == 0 {
		return nil, usagef("say which kind: %s, or all", strings.Join(kindNames(), ", "))
	}
	if strings.Contains(args[0], "/") {
		var targets []target
		for _, arg := range args {
			kind, rest, ok := strings.Cut(arg, "/")
			if !ok || rest == "" {
				return nil, usagef("argument %q: must be KIND/NAME like the others", arg)
			}
			info, err := lookupKind(kind)
			if err != nil {
				return nil, err
			}
			n, err := parseName(info, rest)
			if err != nil {
				return nil, err
			}
			targets = append(targets, target{info, []name{n}})
		}
		return targets, nil
	}
	var targets []target
	for text := range strings.SplitSeq(args[0], ",") {
		if strings.EqualFold(text, "all") {
			for _, info := range convert.Kinds() {
				targets = append(targets, target{kind: info})
			}
			continue
		}
		info, err := lookupKind(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		t := target{kind: info}
		for _, arg := range args[1:] {
			n, err := parseName(info, arg)
			if err != nil {
				return nil, err
			}
			t.names = append(t.names, n)
		}
		targets = append(targets, t)
	}
	if len(args) > 1 && strings.EqualFold(args[0], "all") {
		return nil, usagef("all: takes no names")
	}
	return targets, nil
}

// parseName reads NAME or, for kinds with namespaces, NAMESPACE/NAME.
func parseName(info convert.KindInfo, text string) (name, error) {
	namespace, n, ok := strings.Cut(text, "/")
	switch {
	case !ok:
		namespace, n = "", text
	case !info.Namespaced:
		return name{}, usagef("%s %q: must be a name without namespace: the kind belongs to the cluster", info.Singular, text)
	}
	if n == "" || strings.Contains(n, "/") || ok && namespace == "" {
		return name{}, usagef("%s %q: must be NAME or NAMESPACE/NAME", info.Singular, text)
	}
	return name{namespace, n}, nil
}

// key is the key of a name, in a namespace where the name does not say one.
func (t target) key(n name, namespace string) model.Key {
	k := model.Key{Kind: t.kind.Kind, Name: n.name}
	if t.kind.Namespaced {
		k.Namespace = n.namespace
		if k.Namespace == "" {
			k.Namespace = namespace
		}
	}
	return k
}

// subject names an object in messages, as convert does.
func subject(key model.Key) string {
	n := key.Name
	if key.Namespace != "" {
		n = key.Namespace + "/" + n
	}
	return fmt.Sprintf("%s %q", strings.ToLower(string(key.Kind)), n)
}
