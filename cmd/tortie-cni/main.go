// Command tortie-cni is the CNI plugin of Tortie, and its IPAM plugin. It hands each command to the node's agent and
// prints the answer; it holds no state and needs no access to the cluster. It also answers as calico and calico-ipam.
//
// A container runtime starts it for every command, so what it links is paid for with every pod: it uses a small part of
// the standard library, and for the agent's socket plain system calls.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
)

// release is set by the build.
var release = "dev"

func main() {
	debug.SetGCPercent(-1) // it lives for milliseconds of CPU time, and no message is larger than maxMessage
	name := filepath.Base(os.Args[0])
	p := plugin{ipam: name == "tortie-ipam" || name == "calico-ipam", env: os.Getenv, in: os.Stdin, out: os.Stdout}
	if os.Getenv("CNI_COMMAND") == "" {
		fmt.Fprintf(os.Stderr, "Tortie CNI plugin %s %s: CNI_COMMAND is not set; versions of CNI: %v\n", name, release, versions)
		return
	}
	if err := p.run(); err != nil {
		if err := err.print(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "tortie-cni: write the error to stdout:", err)
		}
		os.Exit(1)
	}
}
