// Package node registers this node: its Node object, address detection, tunnel addresses.
package node
