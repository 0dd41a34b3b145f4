// Package lab builds nodes, routers and workloads in network namespaces on one machine, and does only what a user could.
package lab
