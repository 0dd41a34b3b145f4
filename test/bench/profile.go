package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

// ownProfile profiles this process while do runs, for what is measured inside it.
func (b *bench) ownProfile(name string, do func() error) error {
	if b.profile == "" {
		return do()
	}
	f, err := os.Create(filepath.Join(b.profile, "bench-"+name+".pprof"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return do()
}

// profiled fetches a CPU profile of the node's agent for some seconds while do runs, and the heap after it, into the
// folder of -profile. Without that folder it only runs do.
func (n *node) profiled(name string, seconds int, do func() error) error {
	if n.profiles == "" {
		return do()
	}
	var wg sync.WaitGroup
	wg.Go(func() { n.fetch(name+"-cpu", fmt.Sprintf("profile?seconds=%d", seconds)) })
	err := do()
	wg.Wait()
	n.fetch(name+"-heap", "heap?gc=1")
	return err
}

func (n *node) fetch(name, what string) {
	socket := filepath.Join(n.dir, "run", "query.sock")
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://agent/debug/pprof/" + what)
	for end := time.Now().Add(5 * time.Second); err != nil && time.Now().Before(end); { // it may only just be starting
		time.Sleep(5 * time.Millisecond)
		answer, err = client.Get("http://agent/debug/pprof/" + what)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "profile %s: %v\n", name, err)
		return
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err == nil {
		err = os.WriteFile(filepath.Join(n.profiles, strings.ReplaceAll(name, " ", "-")+".pprof"), raw, 0o600)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "profile %s: %v\n", name, err)
	}
}
