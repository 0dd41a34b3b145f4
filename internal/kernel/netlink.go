package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// conn is a raw rtnetlink socket for what the library cannot do: many messages in one system call with one
// acknowledgement each, and a port number that tells own notifications from those of others. Safe for concurrent use.
type conn struct {
	mu  sync.Mutex
	fd  int
	pid uint32
	seq uint32
	buf []byte
}

// The socket's limits: how long the kernel may keep an answer waiting, and how much one system call carries. A batch
// must stay well below the send buffer, its acknowledgements below the receive buffer.
const (
	answerSeconds = 10
	batchMessages = 256
	receiveBytes  = 4 << 20
)

func dial(ns *Namespace) (*conn, error) {
	c := &conn{buf: make([]byte, 32<<10)}
	err := within(ns, func() (err error) {
		c.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	fail := func(err error) (*conn, error) {
		_ = unix.Close(c.fd)
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fail(err)
	}
	addr, err := unix.Getsockname(c.fd)
	if err != nil {
		return fail(err)
	}
	c.pid = addr.(*unix.SockaddrNetlink).Pid
	growReceiveBuffer(c.fd, receiveBytes)
	// Kernels before 4.20 lack the last two: errors are then shorter, dumps longer, nothing else differs.
	_ = unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	_ = unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerSeconds}); err != nil {
		return fail(err)
	}
	return c, nil
}

// growReceiveBuffer asks for more than net.core.rmem_max where the process may; else it takes what it gets.
func growReceiveBuffer(fd, bytes int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	}
}

func (c *conn) close() { _ = unix.Close(c.fd) }

// message is a request without its header.
type message struct {
	kind  uint16
	flags uint16
	body  []byte
}

// transact sends messages and returns one error for each. The second value is how many bytes went out.
func (c *conn) transact(msgs []message) ([]error, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs, bytes := make([]error, len(msgs)), 0
	for start := 0; start < len(msgs); start += batchMessages {
		end := min(start+batchMessages, len(msgs))
		n, err := c.batch(msgs[start:end], errs[start:end])
		bytes += n
		if err == nil {
			continue
		}
		for i := start; i < len(msgs); i++ {
			errs[i] = err
		}
		break
	}
	return errs, bytes
}

func (c *conn) batch(msgs []message, errs []error) (int, error) {
	first := c.seq + 1
	var out []byte
	for _, m := range msgs {
		c.seq++
		out = appendMessage(out, m, unix.NLM_F_REQUEST|unix.NLM_F_ACK, c.seq, c.pid)
	}
	if err := c.send(out); err != nil {
		return 0, err
	}
	for left := len(msgs); left > 0; {
		err := c.receive(func(h unix.NlMsghdr, data []byte) bool {
			i := int(h.Seq - first)
			if h.Pid != c.pid || i < 0 || i >= len(msgs) || h.Type != unix.NLMSG_ERROR {
				return true // the rest of an answer that nobody waited for
			}
			errs[i] = decodeError(h, data)
			left--
			return left > 0
		})
		if err != nil {
			return len(out), err
		}
	}
	return len(out), nil
}

// errInterrupted: the kernel's list changed while it was read.
var errInterrupted = errors.New("the kernel's list kept changing while it was read")

// dumpAttempts is how often a dump is begun anew when the list changed under it.
const dumpAttempts = 8

// dump lists. Each is called anew from the start when the dump is repeated, after reset.
func (c *conn) dump(kind uint16, body []byte, reset func(), each func(data []byte) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for range dumpAttempts {
		reset()
		if err = c.dumpOnce(kind, body, each); !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return err
}

func (c *conn) dumpOnce(kind uint16, body []byte, each func(data []byte) error) error {
	c.seq++
	seq := c.seq
	m := message{kind: kind, flags: unix.NLM_F_DUMP, body: body}
	if err := c.send(appendMessage(nil, m, unix.NLM_F_REQUEST, seq, c.pid)); err != nil {
		return err
	}
	var failed error
	interrupted, done := false, false
	for !done {
		err := c.receive(func(h unix.NlMsghdr, data []byte) bool {
			if h.Seq != seq || h.Pid != c.pid {
				return true
			}
			interrupted = interrupted || h.Flags&unix.NLM_F_DUMP_INTR != 0
			switch h.Type {
			case unix.NLMSG_ERROR, unix.NLMSG_DONE:
				failed, done = errors.Join(failed, decodeError(h, data)), true
				return false
			}
			if failed == nil {
				failed = each(data)
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	if failed == nil && interrupted {
		return errInterrupted
	}
	return failed
}

func (c *conn) send(out []byte) error {
	for {
		err := unix.Sendto(c.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// receive reads one datagram and gives its messages to each until that says false.
func (c *conn) receive(each func(h unix.NlMsghdr, data []byte) bool) error {
	for {
		n, from, err := unix.Recvfrom(c.fd, c.buf, unix.MSG_TRUNC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("no answer from the kernel within %d s", answerSeconds)
		}
		if err != nil {
			return err
		}
		if n > len(c.buf) {
			c.buf = make([]byte, 2*n)
			return fmt.Errorf("an answer of %d bytes was cut", n)
		}
		if sa, ok := from.(*unix.SockaddrNetlink); ok && sa.Pid != 0 {
			continue // not from the kernel
		}
		return splitMessages(c.buf[:n], each)
	}
}

func splitMessages(b []byte, each func(h unix.NlMsghdr, data []byte) bool) error {
	for len(b) >= unix.SizeofNlMsghdr {
		h := unix.NlMsghdr{
			Len:   binary.NativeEndian.Uint32(b[0:4]),
			Type:  binary.NativeEndian.Uint16(b[4:6]),
			Flags: binary.NativeEndian.Uint16(b[6:8]),
			Seq:   binary.NativeEndian.Uint32(b[8:12]),
			Pid:   binary.NativeEndian.Uint32(b[12:16]),
		}
		if h.Len < unix.SizeofNlMsghdr || int(h.Len) > len(b) {
			return fmt.Errorf("netlink message of %d bytes in %d", h.Len, len(b))
		}
		if !each(h, b[unix.SizeofNlMsghdr:h.Len]) {
			return nil
		}
		b = b[min(align(int(h.Len)), len(b)):]
	}
	return nil
}

func appendMessage(out []byte, m message, flags uint16, seq, pid uint32) []byte {
	length := unix.SizeofNlMsghdr + len(m.body)
	out = binary.NativeEndian.AppendUint32(out, uint32(length))
	out = binary.NativeEndian.AppendUint16(out, m.kind)
	out = binary.NativeEndian.AppendUint16(out, flags|m.flags)
	out = binary.NativeEndian.AppendUint32(out, seq)
	out = binary.NativeEndian.AppendUint32(out, pid)
	out = append(out, m.body...)
	return append(out, make([]byte, align(length)-length)...)
}

// decodeError reads an acknowledgement or the end of a dump: nil, or the error with the kernel's own words.
func decodeError(h unix.NlMsghdr, data []byte) error {
	if len(data) < 4 {
		return nil
	}
	code := int32(binary.NativeEndian.Uint32(data))
	if code == 0 {
		return nil
	}
	errno := unix.Errno(-code)
	if h.Flags&unix.NLM_F_ACK_TLVS == 0 || len(data) < 4+unix.SizeofNlMsghdr {
		return errno
	}
	words := ""
	attrs := data[4+unix.SizeofNlMsghdr:]
	if h.Flags&unix.NLM_F_CAPPED == 0 {
		inner := int(binary.NativeEndian.Uint32(data[4:8]))
		if inner < unix.SizeofNlMsghdr || 4+align(inner) > len(data) {
			return errno
		}
		attrs = data[4+align(inner):]
	}
	_ = eachAttr(attrs, func(kind uint16, value []byte) {
		if kind == 1 { // NLMSGERR_ATTR_MSG
			words = unix.ByteSliceToString(value)
		}
	})
	if words == "" {
		return errno
	}
	return fmt.Errorf("%w (%s)", errno, words)
}

func align(n int) int { return (n + 3) &^ 3 }

// appendAttr adds one attribute.
func appendAttr(out []byte, kind uint16, value []byte) []byte {
	length := unix.SizeofRtAttr + len(value)
	out = binary.NativeEndian.AppendUint16(out, uint16(length))
	out = binary.NativeEndian.AppendUint16(out, kind)
	out = append(out, value...)
	return append(out, make([]byte, align(length)-length)...)
}

func appendAttr32(out []byte, kind uint16, value uint32) []byte {
	return appendAttr(out, kind, binary.NativeEndian.AppendUint32(nil, value))
}

// eachAttr walks attributes; the nested and byte order bits of the kind are cut off.
func eachAttr(b []byte, each func(kind uint16, value []byte)) error {
	for len(b) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			return fmt.Errorf("netlink attribute of %d bytes in %d", length, len(b))
		}
		each(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[unix.SizeofRtAttr:length])
		b = b[min(align(length), len(b)):]
	}
	return nil
}
