package cni

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/kernel"
)

// readRequest reads one framed request and the descriptor that may come with its first bytes. The namespace is nil
// when none came; it is the caller's to close, also when there is an error.
func readRequest(conn *net.UnixConn) (SocketRequest, *kernel.Namespace, error) {
	var r SocketRequest
	head, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(16*4))
	n, oobn, flags, _, err := conn.ReadMsgUnix(head, oob)
	if err != nil {
		return r, nil, fmt.Errorf("read request: %w", err)
	}
	ns, err := namespaceFrom(oob[:oobn])
	if err != nil {
		return r, nil, err
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return r, ns, errors.New("more descriptors than one came with the request")
	}
	if _, err := io.ReadFull(conn, head[n:]); err != nil {
		return r, ns, fmt.Errorf("read request: length: %w", err)
	}
	length := binary.BigEndian.Uint32(head)
	if length == 0 || length > MaxRequest {
		return r, ns, fmt.Errorf("request of %d bytes: must be 1 to %d", length, MaxRequest)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(conn, body); err != nil {
		return r, ns, fmt.Errorf("read request of %d bytes: %w", length, err)
	}
	if r, err = decodeRequest(body); err != nil {
		return r, ns, err
	}
	if r.Netns != (ns != nil) {
		return r, ns, fmt.Errorf("request says netns %v, descriptor sent %v", r.Netns, ns != nil)
	}
	return r, ns, nil
}

func decodeRequest(body []byte) (SocketRequest, error) {
	var r SocketRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return SocketRequest{}, fmt.Errorf("request is not readable: %w", err)
	}
	if r.Version > ProtocolVersion || r.Version < max(1, ProtocolVersion-1) {
		return r, fmt.Errorf("protocol version %d: this agent serves %d to %d", r.Version, max(1, ProtocolVersion-1), ProtocolVersion)
	}
	return r, nil
}

// namespaceFrom takes the one descriptor out of the control messages; more than one, or another kind, is an error, and
// every descriptor is closed then.
func namespaceFrom(oob []byte) (*kernel.Namespace, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read request: control message: %w", err)
	}
	var fds []int
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err == nil {
			fds = append(fds, got...)
		}
	}
	switch len(fds) {
	case 0:
		return nil, nil
	case 1:
		return kernel.NamespaceFromFD(fds[0])
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
	return nil, fmt.Errorf("%d descriptors came with the request: must be one", len(fds))
}

// writeResponse frames and sends.
func writeResponse(w io.Writer, r SocketResponse) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write response: %w", err)
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, err := w.Write(append(out, body...)); err != nil {
		return fmt.Errorf("write response: %w", err)
	}
	return nil
}

// errPeer: who calls may not.
var errPeer = errors.New("only root may use this socket")

// checkPeer asks the kernel who is at the other end.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("peer credentials: %w", err)
	}
	if cred.Uid != 0 {
		return fmt.Errorf("user %d: %w", cred.Uid, errPeer)
	}
	return nil
}

// listen makes the socket, in place of one that an earlier agent left, so that it is never open to others: its folder
// is 0700 from the start.
func listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cni socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cni socket: %w", err)
	}
	// An agent that ends after its successor began must not take the successor's socket away.
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("cni socket: %w", err)
	}
	return l, nil
}
