// Package lab builds nodes, routers and workloads in network namespaces on one machine.
//
// In: a lab file (file.go, check.go). It makes namespaces, links and addresses, and for the rest does only what a user
// could: it starts the embedded etcd and an agent per node as processes of their own, applies objects with the command
// line, and attaches workloads by running tortie-cni as a container runtime would. It checks expectations with real
// packets, prints the connectivity matrix, and takes everything away again, whole or half. Two labs do not disturb each
// other or the host. Without root all of it happens in namespaces of the user's own (world.go, holder.go).
package lab
