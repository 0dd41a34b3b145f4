// Command tortie is Tortie: the agent of a node, the lab, and the user's verbs.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/tortie-net/tortie/internal/agent"
	"github.com/tortie-net/tortie/internal/cli"
	"github.com/tortie-net/tortie/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := cli.Root()
	root.AddCommand(agent.Command(), lab.Command())
	os.Exit(cli.Execute(ctx, root))
}
