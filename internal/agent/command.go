package agent

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/obs"
	"github.com/tortie-net/tortie/internal/store/etcd"
)

// Command is the verb "agent".
func Command() *cobra.Command {
	config := ConfigFromEnv(os.Getenv)
	c := &cobra.Command{
		Use:   "agent",
		Short: "Run this node: policy, routes, addresses, CNI and BGP",
		Long: "The agent of a node. The store is found by the variables that Calico's tools use (DATASTORE_TYPE, ETCD_ENDPOINTS, …); " +
			"settings come from the store. When it ends, what it made in the kernel stays.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			limitMemory()
			level := &slog.LevelVar{}
			l, err := obs.ParseLevel(config.LogLevel)
			if err != nil {
				return err
			}
			level.Set(l)
			log := obs.NewLog(c.ErrOrStderr(), level)
			where, err := etcd.FromHost()
			if err != nil {
				return err
			}
			s, err := etcd.Open(where, convert.Codec{})
			if err != nil {
				return err
			}
			defer s.Close()
			a, err := New(config, s, log, level)
			if err != nil {
				return err
			}
			log.Info("starting", "version", obs.Version, "store", where.String())
			if err := a.Run(c.Context()); err != nil {
				return fmt.Errorf("agent of node %s: %w", config.Node, err)
			}
			log.Info("ended; the kernel keeps network and policy")
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&config.Node, "node", config.Node, "name of this node (NODENAME)")
	f.StringVar(&config.RunDir, "run-dir", config.RunDir, "folder of sockets, journal and intent (TORTIE_RUN_DIR)")
	f.StringVar(&config.IP, "ip", config.IP, "IPv4 address with length, autodetect or none (IP)")
	f.StringVar(&config.IP6, "ip6", config.IP6, "IPv6 address with length, autodetect or none (IP6)")
	f.StringVar(&config.Method4, "ip-autodetection-method", config.Method4, "how to find the IPv4 address (IP_AUTODETECTION_METHOD)")
	f.StringVar(&config.Method6, "ip6-autodetection-method", config.Method6, "how to find the IPv6 address (IP6_AUTODETECTION_METHOD)")
	f.StringVar(&config.LogLevel, "log-level", config.LogLevel, "Debug, Info, Warning or Error; default: what the store says (FELIX_LOGSEVERITYSCREEN)")
	return c
}
