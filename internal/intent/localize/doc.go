// Package localize joins the intent of one node with the facts of that node: bindings that CNI made, links and their
// addresses, routes that BGP learned. Out comes everything that the planes see, as changes of intent's kernel objects.
//
// Pure: no goroutine, clock, I/O. It is the same behind a hub. A workload is a LocalEndpoint, and its addresses members
// of this node's sets, as soon as it is both in the intent and bound; nothing before that.
package localize
