package calc

// Span is the nodes that a Calc computes for: one agent's own, or every node (a hub). The zero value is nobody.
type Span struct {
	All  bool
	Node string
}

// Has tells whether a node is of the span.
func (s Span) Has(node string) bool { return node != "" && (s.All || node == s.Node) }
