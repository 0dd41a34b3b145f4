// Package embedded runs an etcd server inside the process, so that a cluster of one machine needs nothing installed.
//
// It is one member without peers: no peer port is opened. It listens where it is told (unix sockets, which it makes
// 0600, or http addresses), keeps its data in a folder that it makes 0700, compacts its own history, and logs warnings
// and errors only, through slog. Several can run in one process, each with its own folder.
package embedded
