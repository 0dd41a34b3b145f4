package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/obs"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1 // the request was refused or could not be carried out
	exitUsage       = 2 // the command line is wrong
	exitNotFound    = 3
	exitUnavailable = 4 // the store or the agent does not answer
	exitDenied      = 5 // explain --exit-code: the flow is denied
)

// environment is what a run of the command line has around it.
type environment struct {
	getenv func(string) string
	open   func(context.Context) (store.Store, error)
	now    func() time.Time
}

// Root is the command "tortie" with the user's verbs.
func Root() *cobra.Command {
	return newRoot(environment{getenv: os.Getenv, open: openStore, now: time.Now})
}

func newRoot(env environment) *cobra.Command {
	c := &cobra.Command{
		Use:   "tortie",
		Short: "The network of pods, virtual machines and hosts, and its security",
		Long: `The network of pods, virtual machines and hosts, and its security.

The store is found by the variables that Calico's tools use: DATASTORE_TYPE (etcdv3), ETCD_ENDPOINTS,
ETCD_CA_CERT_FILE, ETCD_CERT_FILE, ETCD_KEY_FILE, ETCD_USERNAME, ETCD_PASSWORD.

Exit codes: 0 done, 1 refused or failed, 2 wrong command line, 3 not found, 4 the store or the agent does not
answer, 5 denied (explain --exit-code).`,
		Version:       obs.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	group(c)
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w: %q lists the flags", err, c.CommandPath()+" --help")
	})
	c.AddCommand(env.verbs()...)
	return c
}

// verbs are the user's.
func (e environment) verbs() []*cobra.Command {
	return []*cobra.Command{
		e.getCommand(), e.applyCommand(), e.createCommand(), e.replaceCommand(), e.patchCommand(), e.deleteCommand(),
		e.labelCommand(), e.explainCommand(), e.statusCommand(), e.nodeCommand(), e.ipamCommand(), versionCommand(),
		storeCommand(),
	}
}

// group makes a command that only holds others: alone it shows what it holds, with anything else it is a wrong usage.
func group(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		err := fmt.Errorf("%q is no command of %q", args[0], c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			err = fmt.Errorf("%w: did you mean %s?", err, strings.Join(near, " or "))
		}
		return usageError{err}
	}
}

// usageError is a wrong command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// deniedError is the answer of explain --exit-code; what there is to say has been said.
type deniedError struct{}

func (deniedError) Error() string { return "denied" }

// Execute runs the command line and returns the exit code: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 the
// store or an agent does not answer, 5 denied. Each error is one line on standard error.
func Execute(ctx context.Context, root *cobra.Command) int {
	wrongArguments(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(root.ErrOrStderr(), "tortie: interrupted")
		return exitFailed
	}
	var ended interface{ ExitCode() int } // a program that a verb ran for the user
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	for _, e := range each(err) {
		if !errors.Is(e, deniedError{}) {
			fmt.Fprintln(root.ErrOrStderr(), "tortie: "+strings.ReplaceAll(strings.TrimSpace(e.Error()), "\n", "; "))
		}
	}
	return exitCode(err)
}

// wrongArguments makes every complaint about a command's arguments and flags a usageError, and so exit code 2.
func wrongArguments(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.ArbitraryArgs
	}
	if c.Runnable() {
		c.Args = func(c *cobra.Command, args []string) error {
			err := errors.Join(check(c, args), c.ValidateRequiredFlags(), c.ValidateFlagGroups())
			var usage usageError
			if err == nil || errors.As(err, &usage) {
				return err
			}
			err = each(err)[0]
			return usagef("%w: usage: %s", err, c.UseLine())
		}
	}
	for _, sub := range c.Commands() {
		wrongArguments(sub)
	}
}

// each is the errors that were joined, one by one. An error that one message made of several stays one.
func each(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	parts := joined.Unwrap()
	if err.Error() != errors.Join(parts...).Error() {
		return []error{err}
	}
	var all []error
	for _, e := range parts {
		all = append(all, each(e)...)
	}
	return all
}

// exitCode is that of the gravest error: a wrong usage, a store that is away, something else; not found only where
// nothing else went wrong.
func exitCode(err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	code := 0
	for _, e := range each(err) {
		switch {
		case errors.Is(e, store.ErrUnavailable):
			return exitUnavailable
		case errors.Is(e, deniedError{}):
			code = max(code, exitDenied)
		case errors.Is(e, store.ErrNotFound):
			if code == 0 {
				code = exitNotFound
			}
		default:
			code = exitFailed
		}
	}
	return code
}

// openStore connects to the store that the environment names, with its bootstrap objects in place.
func openStore(ctx context.Context) (store.Store, error) {
	if kind := os.Getenv("DATASTORE_TYPE"); kind == "kubernetes" {
		return nil, errors.New("DATASTORE_TYPE kubernetes: this version reads and writes etcd only: set DATASTORE_TYPE=etcdv3 and ETCD_ENDPOINTS")
	}
	config, err := etcd.FromHost()
	if err != nil {
		return nil, err
	}
	s, err := etcd.Open(config, convert.Codec{})
	if err != nil {
		return nil, err
	}
	if err := bootstrap(ctx, s); err != nil {
		if errors.Is(err, store.ErrUnavailable) {
			err = fmt.Errorf("%s does not answer: %w", config, err)
		}
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// bootstrap creates the objects that every store holds, where they are missing.
func bootstrap(ctx context.Context, s store.Store) error {
	initial, err := convert.Bootstrap()
	if err != nil {
		return err
	}
	objects := make([]store.Object, 0, len(initial))
	for _, o := range initial {
		objects = append(objects, store.Object{Key: o.Key, Value: o.Value})
	}
	return etcd.Bootstrap(ctx, s, objects...)
}
