package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Command is the verb "lab".
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "Nodes, routers and workloads in network namespaces on this machine",
		Long: `A lab is a small cluster on one machine: nodes, routers and workloads are network namespaces, agents are real
processes, packets are real. It needs root, or a kernel that lets ordinary users make user namespaces.

docs/lab.md describes the lab file.`,
	}
	c.AddCommand(upCommand(), downCommand(), statusCommand(), execCommand(), runCommand(), matrixCommand(), trafficCommand(),
		agentCommand(), demoCommand(), serveCommand(), holdCommand())
	return c
}

func upCommand() *cobra.Command {
	up := placed(func(c *cobra.Command, args []string) error {
		l, err := prepare(args[0], c.OutOrStdout())
		if err != nil {
			return err
		}
		if err := l.Up(c.Context()); err != nil {
			return err
		}
		if err := l.peer(c.Context()); err != nil {
			return errors.Join(err, l.Down(context.WithoutCancel(c.Context())))
		}
		l.say("lab %s is up; its store: export DATASTORE_TYPE=etcdv3 ETCD_ENDPOINTS=%s", l.file.Name, l.storeURL())
		return nil
	})
	return &cobra.Command{
		Use: "up FILE", Short: "Build the lab of a file and leave it up", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if privileged() {
				return up(c, args)
			}
			return upInWorld(c.Context(), args[0])
		},
	}
}

// upInWorld builds a lab in a world of its own that stays.
func upInWorld(ctx context.Context, path string) error {
	f, err := ReadFile(path) // mistakes show before anything is made
	if err != nil {
		return err
	}
	if err := makeRoot(); err != nil {
		return err
	}
	if _, err := os.Stat(at(f.Name, io.Discard).dir); err == nil || worldProcess(f.Name).pid("hold") != 0 {
		return alreadyUp(f.Name)
	}
	err = startHolder(ctx, f.Name)
	if err == nil {
		err = ask(ctx, f.Name, os.Args[1:])
	}
	if err != nil {
		return errors.Join(err, endHolder(f.Name))
	}
	return nil
}

// prepare reads a lab file for this program.
func prepare(path string, out io.Writer) (*Lab, error) {
	f, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	return New(f, out)
}

func downCommand() *cobra.Command {
	down := placed(func(c *cobra.Command, args []string) error {
		l := at(args[0], c.OutOrStdout())
		if _, err := os.Stat(l.dir); errors.Is(err, os.ErrNotExist) {
			l.say("%v", notUp(args[0]))
			return nil
		}
		if err := l.Down(c.Context()); err != nil {
			return err
		}
		l.say("lab %s is down", args[0])
		return nil
	})
	return &cobra.Command{
		Use: "down NAME", Short: "Take a lab away, whole or half", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !nameRule.MatchString(args[0]) {
				return wrongName(args[0])
			}
			if privileged() {
				return down(c, args)
			}
			return downOfWorld(c.Context(), args[0], c.OutOrStdout())
		},
	}
}

// downOfWorld takes an ordinary user's lab away, also one whose world is no more or was that of a run.
func downOfWorld(ctx context.Context, name string, out io.Writer) error {
	l := at(name, out)
	_, gone := os.Stat(l.dir)
	var err error
	switch {
	case worldProcess(name).pid("hold") != 0:
		err = ask(context.WithoutCancel(ctx), name, os.Args[1:])
	case gone == nil:
		if err = l.endStrays(); err == nil {
			l.say("lab %s is down", name)
		}
	default:
		l.say("%v", notUp(name))
	}
	return errors.Join(err, endHolder(name))
}

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run FILE", Short: "Build a lab, check its expectations with real packets, print the matrix, take it away", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := ReadFile(args[0]); err != nil { // mistakes show before anything is made
				return err
			}
			return inside(func(c *cobra.Command, args []string) error {
				l, err := prepare(args[0], c.OutOrStdout())
				if err != nil {
					return err
				}
				return l.Run(c.Context())
			})(c, args)
		},
	}
}

// Run builds the lab, checks its expectations, prints the matrix and takes the lab away.
func (l *Lab) Run(ctx context.Context) (err error) {
	if err := l.Up(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	if err := l.peer(ctx); err != nil {
		return err
	}
	checked := l.Check(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fmt.Fprintln(l.out)
	return errors.Join(checked, l.Matrix(ctx))
}

// peer waits for BGP sessions. A lab whose sessions do not come up goes on: it may show just that.
func (l *Lab) peer(ctx context.Context) error {
	sessions, err := l.AwaitBGP(ctx, bgpPatience)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		l.step("going on without all BGP sessions: %v", err)
	case sessions > 0:
		l.step("%s Established", count(sessions, "BGP session end"))
	}
	return nil
}

// bgpPatience is how long BGP sessions may take until Established in a fresh lab.
const bgpPatience = 15 * time.Second

func matrixCommand() *cobra.Command {
	return &cobra.Command{
		Use: "matrix NAME", Short: "Probe every workload from every other with real packets", Args: cobra.ExactArgs(1),
		RunE: inWorldOf(func(c *cobra.Command, args []string) error {
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			return l.Matrix(c.Context())
		}),
	}
}

func execCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "exec NAME PLACE [--] COMMAND [ARG…]",
		Args:  func(c *cobra.Command, args []string) error { return cobra.MinimumNArgs(3)(c, withoutDash(args)) },
		Short: "Run a command inside a node, router or workload",
		Long: `Runs a command in the network namespace of a node, router or workload, in its place: its exit code is the
command's. The lab's store is in its environment (ETCD_ENDPOINTS), and a node's run directory (TORTIE_RUN_DIR).`,
		Example: `  tortie lab exec demo web-1 -- ping -c 1 10.244.0.1
  tortie lab exec demo n1 -- tortie node status
  tortie lab exec demo n1 -- nft list table inet tortie`,
		RunE: inWorldOf(func(c *cobra.Command, args []string) error {
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			args = withoutDash(args)
			if _, ok := l.file.ports(args[1]); !ok {
				return fmt.Errorf("lab %s has no node, router or workload %q", args[0], args[1])
			}
			ns, err := l.net.get(args[1])
			if err != nil {
				return err
			}
			// tortie itself is found in the lab also where it is not installed.
			if err := os.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+filepath.Dir(l.binary)); err != nil {
				return err
			}
			path, err := exec.LookPath(args[2])
			if err != nil {
				return err
			}
			env := append(os.Environ(), l.storeEnv()...)
			if l.file.node(args[1]) != nil {
				env = append(env, "TORTIE_RUN_DIR="+l.runDir(args[1]))
			}
			return ns.Do(func() error { // the thread that is inside becomes the command
				if err := syscall.Exec(path, args[2:], dedupe(env)); err != nil {
					return fmt.Errorf("run %s: %w", path, err)
				}
				return nil
			})
		}),
	}
	c.Flags().SetInterspersed(false) // flags after the place are the command's
	return c
}

// withoutDash drops the dashes between a place and a command.
func withoutDash(args []string) []string {
	if len(args) > 2 && args[2] == "--" {
		return append(args[:2:2], args[3:]...)
	}
	return args
}

// dedupe keeps the last value of each variable, as os/exec does.
func dedupe(env []string) []string {
	return (&exec.Cmd{Env: env}).Environ()
}

func agentCommand() *cobra.Command {
	return &cobra.Command{
		Use: "agent NAME NODE kill|start", Short: "Kill a node's agent with -9, or start it again", Args: cobra.ExactArgs(3),
		RunE: inWorldOf(func(c *cobra.Command, args []string) error {
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			if l.file.node(args[1]) == nil {
				return fmt.Errorf("lab %s has no node %q", args[0], args[1])
			}
			switch args[2] {
			case "kill":
				return l.KillAgent(args[1])
			case "start":
				if l.run.pid("agent-"+args[1]) != 0 {
					return fmt.Errorf("the agent of %s runs", args[1])
				}
				if err := l.StartAgent(args[1]); err != nil {
					return err
				}
				return l.awaitReady(c.Context(), args[1])
			}
			return fmt.Errorf("%q: allowed are kill and start", args[2])
		}),
	}
}

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Show the main job: routes by BGP, policy, why, and an agent killed under traffic", Args: cobra.NoArgs,
		RunE: inside(func(c *cobra.Command, _ []string) error { return Demo(c.Context(), c.OutOrStdout()) }),
	}
}

// serveCommand answers in the workloads; Up starts it. The folder is on its command line so that Down finds it again.
func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "serve NAME", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			return l.serve(c.Context())
		},
	}
	c.Flags().String("dir", "", "folder of the lab")
	return c
}
