package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// bench is one run.
type bench struct {
	dir     string // on tmpfs: sockets, namespaces, state
	disk    string // on a disk, for what is measured with disk sync
	program string // tortie; tortie-cni is beside it
	short   bool
	profile string // folder for profiles of the agents; empty: none are taken

	small, large *node // made at first use
}

// section measures some rows that share what they need.
type section struct {
	name string
	run  func(ctx context.Context, b *bench) ([]row, error)
}

// sections in the order in which they run: what needs a quiet process comes first, what needs the large node last.
var sections = []section{
	{"calc", calcRows},
	{"flat", flatRows},
	{"verify", verifyRows},
	{"ipam", ipamRows},
	{"cni", cniRows},
	{"lab", labRows},
	{"change", changeRows},
	{"path", pathRows},
	{"start", startRows},
}

func main() {
	only := flag.String("only", "", "run the sections whose name matches this expression: calc, flat, verify, ipam, cni, lab, change, path, start")
	short := flag.Bool("short", false, "smaller clusters and fewer samples: at most two minutes")
	program := flag.String("program", "", "the program tortie, with tortie-cni beside it; default: built anew")
	profile := flag.String("profile", "", "folder for CPU and heap profiles of the agents (they cost a little time)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *only, &bench{short: *short, program: *program, profile: *profile})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, b *bench) (err error) {
	which, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if os.Geteuid() != 0 {
		return errors.New("it makes network namespaces: run it as root")
	}
	if b.dir, err = os.MkdirTemp("/dev/shm", "tortie-bench-"); err != nil {
		return fmt.Errorf("folder on tmpfs: %w", err)
	}
	if b.disk, err = os.MkdirTemp("/var/tmp", "tortie-bench-"); err != nil {
		return fmt.Errorf("folder on disk: %w", err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if b.program == "" {
		if err := b.build(ctx); err != nil {
			return err
		}
	}
	started := time.Now()
	fmt.Println(conditions(b))
	var rows []row
	var failed []error
	for _, s := range sections {
		if !which.MatchString(s.name) || ctx.Err() != nil {
			continue
		}
		began := time.Now()
		fmt.Fprintf(os.Stderr, "%-7s …", s.name)
		var got []row
		err := b.ownProfile(s.name, func() (err error) {
			got, err = s.run(ctx, b)
			return err
		})
		fmt.Fprintf(os.Stderr, " %.1f s\n", time.Since(began).Seconds())
		rows = append(rows, got...)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	printTable(os.Stdout, rows)
	fmt.Printf("\nmeasured in %.0f s; load at the end %s\n", time.Since(started).Seconds(), load())
	return errors.Join(failed...)
}

// build makes the programs as `make build` does.
func (b *bench) build(ctx context.Context) error {
	b.program = filepath.Join(b.disk, "bin", "tortie")
	for _, name := range []string{"tortie", "tortie-cni"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(b.disk, "bin", name),
			"github.com/tortie-net/tortie/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

func (b *bench) close() error {
	var errs []error
	for _, n := range []*node{b.small, b.large} {
		if n != nil {
			errs = append(errs, n.close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir), os.RemoveAll(b.disk))...)
}

// samples is how many to take: fewer in a short run.
func (b *bench) samples(n int) int {
	if b.short {
		return max(n/4, 10)
	}
	return n
}
