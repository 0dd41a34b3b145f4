// Package tortie is the network of Kubernetes pods, virtual machines and hosts, and its security. The program is
// cmd/tortie; docs/DESIGN.md tells how the tree is built.
package tortie
