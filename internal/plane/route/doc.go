// Package route is the plane for the routes of workloads, blocks and other nodes, and the neighbours of workloads.
package route
