package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
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

// delegate is the IPAM plugin that this one has to run: the agent cannot, it lives in an image of its own.
func (p plugin) delegate(c conf) string {
	if p.ipam || c.IPAM.Type == "" || c.IPAM.Type == "tortie-ipam" || c.IPAM.Type == "calico-ipam" {
		return ""
	}
	return c.IPAM.Type
}

func (p plugin) request(a arguments) request {
	command := a.command
	if p.ipam {
		command = "IPAM " + command
	}
	return request{
		Version: protocolVersion, Command: command, ContainerID: a.containerID, IfName: a.ifName, Args: a.args, Config: a.stdin,
	}
}

func (p plugin) add(c conf, a arguments) error {
	netns, err := p.openNetns(a.netns)
	if err != nil {
		return err
	}
	defer closeFD(netns)
	until := time.Now().Add(max(addWait, time.Duration(c.PolicyTimeout+10)*time.Second))
	extra := map[string]any{keyNetns: a.netns}
	delegate := p.delegate(c)
	if delegate != "" {
		result, err := p.runDelegate(delegate, a, until)
		if err == nil {
			result, err = withVersion(result, c.Version)
		}
		if err != nil {
			return fmt.Errorf("IPAM plugin %s: %w", delegate, err)
		}
		extra[keyIPAMResult] = result
	}
	r := p.request(a)
	var answer response
	if r.Config, err = withKeys(a.stdin, extra); err == nil {
		answer, err = ask(c.Socket, r, p.passed(netns), until)
	}
	if err == nil {
		err = answer.err()
	}
	if err != nil {
		if delegate != "" {
			// The addresses are given back in time of their own.
			undo := a
			undo.command = "DEL"
			_, failed := p.runDelegate(delegate, undo, time.Now().Add(delWait))
			err = errors.Join(err, failed)
		}
		return coded(err, codeTryAgain)
	}
	if _, err := p.out.Write(append(answer.Result, '\n')); err != nil {
		return fail(codeIO, "write the result to stdout", err.Error())
	}
	return nil
}

// passed is the namespace to hand over: an IPAM plugin needs none.
func (p plugin) passed(netns int) int {
	if p.ipam {
		return -1
	}
	return netns
}

// del succeeds also when the agent is away: the request waits in the spool for it.
func (p plugin) del(c conf, a arguments) error {
	// The namespace may be gone by now, or its path lead to the node's: a DEL without it is a whole one too.
	netns := -1
	if a.netns != "" {
		netns, _ = p.openNetns(a.netns)
	}
	defer closeFD(netns)
	until := time.Now().Add(delWait)
	r := p.request(a)
	answer, err := ask(c.Socket, r, p.passed(netns), until)
	if err != nil {
		if failed := spool(c.Socket, r); failed != nil {
			return fail(codeTryAgain, err.Error(), failed.Error())
		}
	} else if err := answer.err(); err != nil {
		return err
	}
	if d := p.delegate(c); d != "" {
		_, err := p.runDelegate(d, a, until)
		return err
	}
	return nil
}

func (p plugin) check(c conf, a arguments) error {
	netns, err := p.openNetns(a.netns)
	if err != nil {
		return err
	}
	defer closeFD(netns)
	return p.plain(c, a, p.passed(netns), otherWait, codeTryAgain)
}

// plain asks the agent, then the delegated plugin; away is the code for an agent that does not answer.
func (p plugin) plain(c conf, a arguments, netns int, wait time.Duration, away uint) error {
	until := time.Now().Add(wait)
	answer, err := ask(c.Socket, p.request(a), netns, until)
	if err != nil {
		return fail(away, err.Error(), "")
	}
	if err := answer.err(); err != nil {
		return err
	}
	if d := p.delegate(c); d != "" {
		_, err := p.runDelegate(d, a, until)
		return err
	}
	return nil
}

// withKeys adds keys to the configuration and leaves everything else as it stands.
func withKeys(stdin []byte, extra map[string]any) (json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(stdin, &all); err != nil {
		return nil, fail(codeDecoding, "network configuration is not readable", err.Error())
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
