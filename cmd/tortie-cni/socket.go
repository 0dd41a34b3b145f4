package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/containernetworking/cni/pkg/types"
)

// The agent's protocol, version 1: its length as 4 bytes big endian, then one JSON document, each way; the descriptor
// of the network namespace goes with the request's first byte. It stands here once more because the plugin links
// nothing of the agent; a test of internal/cni runs both against each other.
const (
	protocolVersion = 1
	maxMessage      = 1 << 20
)

type request struct {
	Version     int             `json:"version"`
	Command     string          `json:"command"`
	ContainerID string          `json:"containerID,omitempty"`
	IfName      string          `json:"ifName,omitempty"`
	Args        string          `json:"args,omitempty"`
	Netns       bool            `json:"netns,omitempty"`
	Config      json.RawMessage `json:"config"`
}

type response struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    uint   `json:"code"`
		Msg     string `json:"msg"`
		Details string `json:"details"`
	} `json:"error"`
}

func (r response) err() error {
	if r.Error == nil {
		return nil
	}
	return types.NewError(r.Error.Code, r.Error.Msg, r.Error.Details)
}

// ask sends one request and reads the answer. An error means that there was none.
func ask(ctx context.Context, socket string, r request, netns *os.File) (response, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return response{}, fmt.Errorf("the node's agent does not answer: %w", err)
	}
	defer func() { _ = c.Close() }()
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return response{}, fmt.Errorf("%s is not a unix socket", socket)
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if err := send(conn, r, netns); err != nil {
		return response{}, err
	}
	return receive(conn)
}

func send(conn *net.UnixConn, r request, netns *os.File) error {
	r.Netns = netns != nil
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	if len(body) > maxMessage {
		return fmt.Errorf("request of %d bytes: at most %d", len(body), maxMessage)
	}
	var rights []byte
	if netns != nil {
		rights = syscall.UnixRights(int(netns.Fd()))
	}
	out := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	n, _, err := conn.WriteMsgUnix(out, rights, nil)
	if err == nil && n < len(out) {
		_, err = conn.Write(out[n:])
	}
	// An agent that refuses at once answers before it has read: that answer says more than the broken pipe.
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("send request to the node's agent: %w", err)
	}
	return nil
}

func receive(conn io.Reader) (response, error) {
	var r response
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		return r, fmt.Errorf("the node's agent did not answer: %w", err)
	}
	length := binary.BigEndian.Uint32(head)
	if length > maxMessage {
		return r, fmt.Errorf("answer of %d bytes: at most %d", length, maxMessage)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(conn, body); err != nil {
		return r, fmt.Errorf("the node's agent broke off: %w", err)
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return r, fmt.Errorf("the node's agent answered what is not readable: %w", err)
	}
	return r, nil
}

// spool keeps a DEL for the agent's return, beside its socket: temporary file, sync, rename, sync of the folder.
func spool(socket string, r request) error {
	dir := filepath.Join(filepath.Dir(socket), "cni", "del")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("spool DEL: %w", err)
	}
	r.Netns = false
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("spool DEL: %w", err)
	}
	name := r.ContainerID + "." + r.IfName + ".json"
	if len(r.Command) > len("DEL") {
		name = "ipam-" + name
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("spool DEL: %w", err)
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return fmt.Errorf("spool DEL: %w", errors.Join(err, os.Remove(f.Name())))
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("spool DEL: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("spool DEL: %w", err)
	}
	return nil
}
