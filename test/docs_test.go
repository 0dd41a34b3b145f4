package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var labBlock = regexp.MustCompile("(?ms)^```yaml lab\n(.*?)^```$")

// Every lab file in the documentation runs, and what it expects holds.
func TestLabFilesOfDocs(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../README.md")
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range labBlock.FindAllStringSubmatch(string(text), -1) {
			found++
			t.Run(fmt.Sprintf("%s-%d", filepath.Base(page), i+1), func(t *testing.T) {
				root, err := os.MkdirTemp("", "tl-") // short: sockets are in it
				if err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(root)
				file := filepath.Join(root, "lab.yaml")
				if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(filepath.Join(bin, "tortie"), "lab", "run", file)
				cmd.Env = append(os.Environ(), "TORTIE_LAB_ROOT="+root+"/l")
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), ", 0 do not") {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
	if found == 0 {
		t.Error("no page has a lab file")
	}
}

// The demo typed out by hand works, says ok at each step and leaves no namespace behind.
func TestByHand(t *testing.T) {
	script, err := filepath.Abs("../docs/by-hand.sh")
	if err != nil {
		t.Fatal(err)
	}
	// "ip netns" binds its namespaces in /run/netns: in a mount namespace of its own that is nobody else's folder.
	cmd := exec.Command("sh", "-c", `mount -t tmpfs none /run && sh "$0" && ls /run/netns`, script)
	cmd.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"three nodes reach each other", "the store answers", "three agents are ready", "web is 10.96.",
		"web and visitor reach api, over routes that BGP brought", "visitor does not reach api any more", "web still reaches api",
		"explain names the policy", "without its agent the node keeps network and policy", "the workloads are gone",
		"everything is taken away",
	} {
		if !strings.Contains(string(out), "ok: "+want) {
			t.Errorf("%q is missing", "ok: "+want)
		}
	}
	if !strings.HasSuffix(string(out), "ok: everything is taken away\n") {
		t.Error("something is left in /run/netns")
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
