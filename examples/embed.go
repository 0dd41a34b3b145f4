// Package examples holds what the README uses.
package examples

import "embed"

// Demo is the lab file and the policies of `tortie lab demo`.
//
//go:embed demo
var Demo embed.FS
