// Package agent is the composition root of a node: it constructs, connects and runs; it holds no logic.
package agent
