// Package query is the read-only API of a node: explain, counters, routes, peers, status.
package query
