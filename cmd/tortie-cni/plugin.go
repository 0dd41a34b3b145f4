package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

// How long the plugin waits for the agent. The agent's own limits are shorter.
const (
	addWait   = 40 * time.Second
	delWait   = 15 * time.Second
	otherWait = 15 * time.Second
	gcWait    = 40 * time.Second
)

// The configuration keys that the plugin adds for the agent.
const (
	keyIPAMResult = "tortie.io/ipamResult" // result of a delegated IPAM plugin
	keyNetns      = "tortie.io/netns"      // CNI_NETNS, to be repeated in the result
)

// plugin serves the commands of one run.
type plugin struct {
	ipam bool // called as IPAM plugin
	out  io.Writer
}

// conf is what the plugin itself must know of the network configuration.
type conf struct {
	Socket        string `json:"socket"`
	PolicyTimeout int    `json:"policy_setup_timeout_seconds"`
	IPAM          struct {
		Type string `json:"type"`
	} `json:"ipam"`
}

func parse(stdin []byte) (conf, error) {
	var c conf
	if err := json.Unmarshal(stdin, &c); err != nil {
		return c, types.NewError(types.ErrDecodingFailure, "network configuration is not readable", err.Error())
	}
	if c.Socket == "" {
		c.Socket = os.Getenv("TORTIE_CNI_SOCKET")
	}
	if c.Socket == "" {
		c.Socket = "/run/tortie/cni.sock"
	}
	return c, nil
}

// delegate is the IPAM plugin that this one has to run: the agent cannot, it lives in an image of its own.
func (p plugin) delegate(c conf) string {
	if p.ipam || c.IPAM.Type == "" || c.IPAM.Type == "tortie-ipam" || c.IPAM.Type == "calico-ipam" {
		return ""
	}
	return c.IPAM.Type
}

func (p plugin) request(command string, args *skel.CmdArgs) request {
	if p.ipam {
		command = "IPAM " + command
	}
	return request{
		Version: protocolVersion, Command: command, ContainerID: args.ContainerID, IfName: args.IfName, Args: args.Args,
		Config: args.StdinData,
	}
}

func (p plugin) add(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	netns, err := openNetns(args.Netns, p.ipam)
	if err != nil {
		return err
	}
	defer closeQuietly(netns)
	ctx, cancel := context.WithTimeout(context.Background(), max(addWait, time.Duration(c.PolicyTimeout+10)*time.Second))
	defer cancel()
	r := p.request("ADD", args)
	extra := map[string]any{keyNetns: args.Netns}
	delegate := p.delegate(c)
	if delegate != "" {
		result, err := invoke.DelegateAdd(ctx, delegate, args.StdinData, nil)
		if err != nil {
			return fmt.Errorf("IPAM plugin %s: %w", delegate, err)
		}
		extra[keyIPAMResult] = result
	}
	var answer response
	if r.Config, err = withKeys(args.StdinData, extra); err == nil {
		answer, err = ask(ctx, c.Socket, r, netns)
	}
	if err == nil {
		err = answer.err()
	}
	if err != nil {
		if delegate != "" {
			err = errors.Join(err, undoDelegate(delegate, args.StdinData))
		}
		return tryAgain(err)
	}
	return p.print(answer)
}

// undoDelegate gives addresses back after a failed ADD, in time of its own.
func undoDelegate(name string, stdin []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), delWait)
	defer cancel()
	return invoke.DelegateDel(ctx, name, stdin, nil)
}

func (p plugin) print(r response) error {
	_, err := p.out.Write(append(r.Result, '\n'))
	return err
}

// tryAgain gives an error without a CNI code the one for "try again later".
func tryAgain(err error) error {
	var coded *types.Error
	if errors.As(err, &coded) {
		return coded
	}
	return types.NewError(types.ErrTryAgainLater, err.Error(), "")
}

// del succeeds also when the agent is away: the request waits in the spool for it.
func (p plugin) del(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	// The namespace may be gone by now: a DEL without it is a whole one too.
	netns, _ := openNetns(args.Netns, p.ipam)
	defer closeQuietly(netns)
	ctx, cancel := context.WithTimeout(context.Background(), delWait)
	defer cancel()
	r := p.request("DEL", args)
	answer, err := ask(ctx, c.Socket, r, netns)
	if err != nil {
		if spoolErr := spool(c.Socket, r); spoolErr != nil {
			return types.NewError(types.ErrTryAgainLater, err.Error(), spoolErr.Error())
		}
	} else if err := answer.err(); err != nil {
		return err
	}
	if d := p.delegate(c); d != "" {
		return invoke.DelegateDel(ctx, d, args.StdinData, nil)
	}
	return nil
}

func (p plugin) check(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	netns, err := openNetns(args.Netns, p.ipam)
	if err != nil {
		return err
	}
	defer closeQuietly(netns)
	return p.plain(c, p.request("CHECK", args), netns, otherWait, types.ErrTryAgainLater, func(ctx context.Context, d string) error {
		return invoke.DelegateCheck(ctx, d, args.StdinData, nil)
	})
}

func (p plugin) gc(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	return p.plain(c, p.request("GC", args), nil, gcWait, types.ErrTryAgainLater, func(ctx context.Context, d string) error {
		return invoke.DelegateGC(ctx, d, args.StdinData, nil)
	})
}

func (p plugin) status(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	return p.plain(c, p.request("STATUS", args), nil, otherWait, types.ErrPluginNotAvailable, func(ctx context.Context, d string) error {
		return invoke.DelegateStatus(ctx, d, args.StdinData, nil)
	})
}

// plain asks the agent, then the delegated plugin; away is the code for an agent that does not answer.
func (p plugin) plain(c conf, r request, netns *os.File, wait time.Duration, away uint, delegated func(context.Context, string) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	answer, err := ask(ctx, c.Socket, r, netns)
	if err != nil {
		return types.NewError(away, err.Error(), "")
	}
	if err := answer.err(); err != nil {
		return err
	}
	if d := p.delegate(c); d != "" {
		return delegated(ctx, d)
	}
	return nil
}

// openNetns opens CNI_NETNS, so that the agent need not trust a path nor see the same files. An IPAM plugin needs none.
func openNetns(path string, ipam bool) (*os.File, error) {
	if ipam || path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, types.NewError(types.ErrInvalidNetNS, "open CNI_NETNS: "+err.Error(), "")
	}
	return f, nil
}

func closeQuietly(f *os.File) {
	if f != nil {
		_ = f.Close()
	}
}

// withKeys adds keys to the configuration and leaves everything else as it stands.
func withKeys(stdin []byte, extra map[string]any) (json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(stdin, &all); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "network configuration is not readable", err.Error())
	}
	for key := range all {
		if strings.HasPrefix(key, "tortie.io/") {
			delete(all, key) // only the plugin may say these
		}
	}
	for key, value := range extra {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("network configuration: %s: %w", key, err)
		}
		all[key] = raw
	}
	return json.Marshal(all)
}
