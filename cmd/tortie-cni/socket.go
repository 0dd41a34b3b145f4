package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
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
	return fail(r.Error.Code, r.Error.Msg, r.Error.Details)
}

// ask sends one request, with the namespace unless netns is negative, and reads the answer. An error means that there
// was none.
func ask(socket string, r request, netns int, until time.Time) (response, error) {
	r.Netns = netns >= 0
	body, err := json.Marshal(r)
	if err != nil {
		return response{}, fmt.Errorf("encode request: %w", err)
	}
	if len(body) > maxMessage {
		return response{}, fmt.Errorf("request of %d bytes: at most %d", len(body), maxMessage)
	}
	c, err := dial(socket, until)
	if err != nil {
		return response{}, fmt.Errorf("the node's agent does not answer: connect to %s: %w", socket, err)
	}
	defer closeFD(c.fd)
	var rights []byte
	if netns >= 0 {
		rights = syscall.UnixRights(netns)
	}
	// An agent that refuses at once answers before it has read: that answer says more than the broken pipe.
	if err := c.send(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), rights); err != nil && !errors.Is(err, syscall.EPIPE) {
		return response{}, fmt.Errorf("send request to the node's agent: %w", err)
	}
	return receive(c)
}

// conn is a stream socket by plain system calls: the net package's start alone would cost more than the whole exchange.
type conn struct {
	fd    int
	until time.Time
}

func dial(path string, until time.Time) (conn, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return conn{}, err
	}
	c := conn{fd, until}
	err = c.repeat(syscall.SO_SNDTIMEO, func() error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}) })
	if err != nil {
		closeFD(fd)
	}
	return c, err
}

// repeat makes a call with what is left of the time, again when a signal cut it short.
func (c conn) repeat(option int, call func() error) error {
	for {
		left := time.Until(c.until)
		if left <= 0 {
			return errors.New("no time is left")
		}
		tv := syscall.NsecToTimeval(max(left, time.Millisecond).Nanoseconds())
		if err := syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, option, &tv); err != nil {
			return err
		}
		err := call()
		if errors.Is(err, syscall.EAGAIN) {
			return errors.New("no answer within the time that the command has")
		}
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (c conn) send(out, rights []byte) error {
	for len(out) > 0 {
		var n int
		err := c.repeat(syscall.SO_SNDTIMEO, func() (err error) {
			n, err = syscall.SendmsgN(c.fd, out, rights, nil, syscall.MSG_NOSIGNAL)
			return err
		})
		if err != nil {
			return err
		}
		out, rights = out[n:], nil
	}
	return nil
}

// Read implements io.Reader.
func (c conn) Read(b []byte) (int, error) {
	var n int
	err := c.repeat(syscall.SO_RCVTIMEO, func() (err error) {
		n, err = syscall.Read(c.fd, b)
		return err
	})
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
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
