package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/query"
)

// Command is the verb "lab".
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "Nodes, routers and workloads in network namespaces on this machine",
		Long:  "A lab is a small cluster on one machine: nodes, routers and workloads are network namespaces, agents are real processes, packets are real.",
	}
	c.AddCommand(upCommand(), downCommand(), statusCommand(), execCommand(), runCommand(), matrixCommand(), agentCommand(), demoCommand(), serveCommand())
	return c
}

func upCommand() *cobra.Command {
	return &cobra.Command{
		Use: "up FILE", Short: "Build the lab of a file and leave it up", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := ReadFile(args[0])
			if err != nil {
				return err
			}
			l, err := New(f, c.OutOrStdout())
			if err != nil {
				return err
			}
			if err := l.Up(c.Context()); err != nil {
				return err
			}
			l.say("the lab is up; its store: export DATASTORE_TYPE=etcdv3 ETCD_ENDPOINTS=%s", l.storeURL())
			return nil
		},
	}
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use: "down NAME", Short: "Take a lab away", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			return l.Down(c.Context())
		},
	}
}

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run FILE", Short: "Build a lab, check its expectations with real packets, print the matrix, take it away", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			f, err := ReadFile(args[0])
			if err != nil {
				return err
			}
			l, err := New(f, c.OutOrStdout())
			if err != nil {
				return err
			}
			if err := l.Up(c.Context()); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(c.Context()))) }()
			checked := l.Check(c.Context())
			return errors.Join(checked, l.Matrix(c.Context()))
		},
	}
}

func matrixCommand() *cobra.Command {
	return &cobra.Command{
		Use: "matrix NAME", Short: "Probe every workload from every other with real packets", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			return l.Matrix(c.Context())
		},
	}
}

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status [NAME]", Short: "Show a lab's nodes, or the labs that are up", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				dirs, _ := filepath.Glob(filepath.Join(Root(), "*", "lab.json"))
				for _, d := range dirs {
					fmt.Fprintln(c.OutOrStdout(), filepath.Base(filepath.Dir(d)))
				}
				return nil
			}
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			return l.printStatus(c.Context())
		},
	}
}

func (l *Lab) printStatus(ctx context.Context) error {
	t := tabwriter.NewWriter(l.out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tAGENT\tWORKLOADS\tBGP\tPROBLEMS")
	for _, n := range l.file.Nodes {
		c := query.NewClient(l.querySocket(n.Name))
		s, err := c.Status(ctx)
		c.Close()
		if err != nil {
			fmt.Fprintf(t, "%s\taway\t\t\t%v\n", n.Name, err)
			continue
		}
		state, bgp := "ready", "off"
		if !s.Ready {
			state = "not ready"
		}
		if s.BGP != nil {
			up := 0
			for _, p := range s.BGP.Peers {
				if p.State == "Established" {
					up++
				}
			}
			bgp = fmt.Sprintf("%d of %d established", up, len(s.BGP.Peers))
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\n", n.Name, state, s.Bound, bgp, len(s.Problems)+len(s.NotReady))
	}
	for _, w := range l.file.Workloads {
		fmt.Fprintf(t, "%s/%s\ton %s\t%v\t\t\n", w.Namespace, w.Name, w.Node, l.addrs[w.Name])
	}
	return t.Flush()
}

func execCommand() *cobra.Command {
	return &cobra.Command{
		Use: "exec NAME NODE|WORKLOAD -- COMMAND [ARG…]", Short: "Run a command inside a node, router or workload", Args: cobra.MinimumNArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			ns, err := l.net.get(args[1])
			if err != nil {
				return fmt.Errorf("lab %s has no node, router or workload %q", args[0], args[1])
			}
			cmd := exec.CommandContext(c.Context(), args[2], args[3:]...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, c.OutOrStdout(), c.ErrOrStderr()
			cmd.Env = append(os.Environ(), append(l.storeEnv(), "TORTIE_RUN_DIR="+l.runDir(args[1]))...)
			if err := ns.Do(cmd.Start); err != nil {
				return err
			}
			return cmd.Wait()
		},
	}
}

func agentCommand() *cobra.Command {
	return &cobra.Command{
		Use: "agent NAME NODE kill|start", Short: "Kill a node's agent with -9, or start it again", Args: cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := Open(args[0], c.OutOrStdout())
			if err != nil {
				return err
			}
			switch args[2] {
			case "kill":
				return l.KillAgent(args[1])
			case "start":
				if err := l.StartAgent(args[1]); err != nil {
					return err
				}
				return l.awaitReady(c.Context(), args[1])
			}
			return fmt.Errorf("%q: allowed are kill and start", args[2])
		},
	}
}

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Show the main job: routes by BGP, policy, why, and an agent killed under traffic", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return Demo(c.Context(), c.OutOrStdout()) },
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
