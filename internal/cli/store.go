package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/store/etcd"
	"github.com/tortie-net/tortie/internal/store/etcd/embedded"
)

// storeCommand runs the embedded etcd in the foreground.
func storeCommand() *cobra.Command {
	var dir string
	var listen []string
	var noFsync bool
	c := &cobra.Command{
		Use:   "store",
		Short: "Run the built-in store: etcd, nothing to install",
		Long:  "Runs an etcd server in this process. With a Unix socket only this machine's root reaches it; over TCP put TLS in front or keep it on loopback.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := embedded.Start(embedded.Config{Dir: dir, Listen: listen, Fsync: !noFsync})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "serving %v from %s\n", listen, dir)
			select {
			case <-c.Context().Done():
			case err = <-s.Err():
			}
			return errors.Join(err, s.Stop())
		},
	}
	c.Flags().StringVar(&dir, "dir", "/var/lib/tortie/store", "data folder")
	c.Flags().StringSliceVar(&listen, "listen", []string{"unix://" + etcd.LocalSocket}, "unix:///PATH or http://HOST:PORT")
	c.Flags().BoolVar(&noFsync, "no-fsync", false, "do not wait for the disk: for labs, a crash of the machine loses the last writes")
	return c
}
