// Command tortie-cni is the CNI plugin of Tortie, and its IPAM plugin. It hands each command to the node's agent and
// prints the answer; it holds no state and needs no access to the cluster. It also answers as calico and calico-ipam.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

// release is set by the build.
var release = "dev"

func main() {
	name := filepath.Base(os.Args[0])
	p := plugin{ipam: name == "tortie-ipam" || name == "calico-ipam", out: os.Stdout}
	funcs := skel.CNIFuncs{Add: p.add, Del: p.del, Check: p.check, GC: p.gc, Status: p.status}
	versions := version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
	if err := skel.PluginMainFuncsWithError(funcs, versions, "Tortie CNI plugin "+name+" "+release); err != nil {
		if err := err.Print(); err != nil {
			fmt.Fprintln(os.Stderr, "tortie-cni: write the error to stdout:", err)
		}
		os.Exit(1)
	}
}
