package selector

import (
	"maps"
	"slices"
)

// WithKeyPrefix is the selector with prefix before every label key, as a namespaceSelector ("pcns.") and a
// serviceAccountSelector ("pcsa.") are read (R62). Nil stays nil.
func (s *Selector) WithKeyPrefix(prefix string) *Selector {
	return s.rewrite(func(n *node) *node {
		if n.op < opHas || n.op > opEndsWith {
			return n
		}
		return &node{op: n.op, key: prefix + n.key, values: n.values}
	})
}

// ReplaceAll is the selector with another one in place of every all() (R62, R63). Nil stays nil.
func (s *Selector) ReplaceAll(with *Selector) *Selector { return s.replace(opAll, with) }

// ReplaceGlobal is the selector with another one in place of every global() (R63). Nil stays nil.
func (s *Selector) ReplaceGlobal(with *Selector) *Selector { return s.replace(opGlobal, with) }

func (s *Selector) replace(o op, with *Selector) *Selector {
	return s.rewrite(func(n *node) *node {
		if n.op == o {
			return with.tree()
		}
		return n
	})
}

// rewrite changes the leaves and normalises what holds them.
func (s *Selector) rewrite(leaf func(*node) *node) *Selector {
	if s == nil || s.root == nil {
		return s
	}
	root := s.root.rewrite(leaf)
	if root == s.root {
		return s
	}
	return newSelector(root)
}

func (n *node) rewrite(leaf func(*node) *node) *node {
	if n.operands == nil {
		return leaf(n)
	}
	operands, changed := make([]*node, len(n.operands)), false
	for i, o := range n.operands {
		operands[i] = o.rewrite(leaf)
		changed = changed || operands[i] != o
	}
	switch {
	case !changed:
		return n
	case n.op == opNot:
		return newNot(operands[0])
	}
	return newList(n.op, operands)
}

// UsesAll tells whether all() occurs.
func (s *Selector) UsesAll() bool { return s.uses(opAll) }

// UsesGlobal tells whether global() occurs.
func (s *Selector) UsesGlobal() bool { return s.uses(opGlobal) }

func (s *Selector) uses(o op) bool {
	found := false
	s.tree().visit(func(n *node) { found = found || n.op == o })
	return found
}

// Keys is the labels that the selector mentions, sorted.
func (s *Selector) Keys() []string {
	if s == nil || s.root == nil {
		return nil
	}
	keys := map[string]bool{}
	s.tree().visit(func(n *node) {
		if n.key != "" {
			keys[n.key] = true
		}
	})
	return slices.Sorted(maps.Keys(keys))
}

func (n *node) visit(see func(*node)) {
	see(n)
	for _, o := range n.operands {
		o.visit(see)
	}
}
