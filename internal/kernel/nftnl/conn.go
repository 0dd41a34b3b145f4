package nftnl

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// bufferSize is asked for with SO_SNDBUFFORCE and SO_RCVBUFFORCE: a batch is one datagram, and a transaction may load
// every set of a node; a batch in which every message fails is answered with as many messages.
const bufferSize = 64 << 20

// answerBuffer holds any part of an answer: the kernel makes none longer than 32 KiB.
const answerBuffer = 64 << 10

// replyTimeout bounds the wait for an answer: the kernel answers while the request is sent, so only a lost answer waits.
const replyTimeout = 10 * time.Second

// Conn is a netlink socket in one network namespace.
type Conn struct {
	sock *netlink.Conn
	seq  uint32
	buf  []byte // made with the first answer: a socket may never be used

	messages, bytes uint64
}

// Open opens a socket in the network namespace that the file descriptor nsfd is of, or in the calling thread's if it
// is 0.
func Open(nsfd int) (*Conn, error) {
	sock, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: nsfd})
	if err != nil {
		return nil, fmt.Errorf("open netfilter netlink socket: %w", err)
	}
	c := &Conn{sock: sock}
	// Answers without a copy of the request, with the kernel's own words where it has some; both since Linux 4.12.
	_ = sock.SetOption(netlink.CapAcknowledge, true)
	_ = sock.SetOption(netlink.ExtendedAcknowledge, true)
	if err := errors.Join(sock.SetWriteBuffer(bufferSize), sock.SetReadBuffer(bufferSize)); err != nil {
		return nil, errors.Join(fmt.Errorf("netfilter netlink socket: set buffers of %d bytes: %w", bufferSize, err), sock.Close())
	}
	return c, nil
}

// Close closes the socket.
func (c *Conn) Close() error { return c.sock.Close() }

// PortID is the socket's netlink address: notifications name it as the origin of a change.
func (c *Conn) PortID() uint32 { return c.sock.PID() }

// Written is the number and size of the messages that transactions have sent so far.
func (c *Conn) Written() (messages, bytes uint64) { return c.messages, c.bytes }

func (c *Conn) send(b []byte) error {
	raw, err := c.sock.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		for {
			sent = unix.Sendto(int(fd), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
			if sent != unix.EINTR {
				return sent != unix.EAGAIN
			}
		}
	})
	return errors.Join(err, sent)
}

// receive reads one datagram; it is valid until the next call.
func (c *Conn) receive() ([]byte, error) {
	if c.buf == nil {
		c.buf = make([]byte, answerBuffer)
	}
	return receive(c.sock, c.buf)
}

func receive(sock *netlink.Conn, buf []byte) ([]byte, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	var n, flags int
	var got error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, flags, _, got = unix.Recvmsg(int(fd), buf, nil, 0)
			if got != unix.EINTR {
				return got != unix.EAGAIN
			}
		}
	})
	if err := errors.Join(err, got); err != nil {
		return nil, err
	}
	if flags&unix.MSG_TRUNC != 0 {
		return nil, fmt.Errorf("netlink datagram longer than %d bytes", len(buf))
	}
	return buf[:n], nil
}

const (
	messageHeader = unix.SizeofNlMsghdr
	familyHeader  = 4 // nfgenmsg
	bodyAt        = messageHeader + familyHeader
)

// message is one netlink message: Body is behind the nfgenmsg.
type message struct {
	typ, flags uint16
	seq, pid   uint32
	raw        []byte // behind the netlink header
}

func (m message) body() []byte {
	if len(m.raw) < familyHeader {
		return nil
	}
	return m.raw[familyHeader:]
}

// each calls do for each message of a datagram until it says false.
func each(b []byte, do func(message) bool) {
	for len(b) >= messageHeader {
		n := int(native.Uint32(b))
		if n < messageHeader || n > len(b) {
			return
		}
		m := message{
			typ: native.Uint16(b[4:]), flags: native.Uint16(b[6:]), seq: native.Uint32(b[8:]), pid: native.Uint32(b[12:]),
			raw: b[messageHeader:n],
		}
		if !do(m) {
			return
		}
		b = b[min(align4(n), len(b)):]
	}
}

// failure is the error of an NLMSG_ERROR message, nil for an acknowledgement.
func (m message) failure() error {
	if len(m.raw) < 4 {
		return errors.New("short error message")
	}
	code := int32(native.Uint32(m.raw))
	if code == 0 {
		return nil
	}
	err := error(unix.Errno(-code))
	const capped = 0x100 // NLM_F_CAPPED: only the header of the request follows
	const hasTLVs = 0x200
	if m.flags&hasTLVs == 0 || len(m.raw) < 4+messageHeader {
		return err
	}
	skip := 4 + messageHeader
	if m.flags&capped == 0 {
		skip = 4 + align4(int(native.Uint32(m.raw[4:])))
	}
	if skip > len(m.raw) {
		return err
	}
	if text := attrString(attr(m.raw[skip:], unix.NLMSGERR_ATTR_MSG)); text != "" {
		return fmt.Errorf("%w (%s)", err, text)
	}
	return err
}

// appendHeader begins a message; finish fills in its length.
func appendHeader(b []byte, typ, flags uint16, seq uint32, family uint8, resID uint16) ([]byte, int) {
	at := len(b)
	b = native.AppendUint32(b, 0)
	b = native.AppendUint16(b, typ)
	b = native.AppendUint16(b, flags)
	b = native.AppendUint32(b, seq)
	b = native.AppendUint32(b, 0)
	return append(b, family, unix.NFNETLINK_V0, byte(resID>>8), byte(resID)), at
}

func finish(b []byte, at int) []byte {
	native.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

func nftType(op uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | op }

// errInterrupted: the ruleset changed while it was read.
var errInterrupted = errors.New("interrupted: the ruleset kept changing while it was read")

// dumpTries bounds how often a dump that other writers disturb is begun again.
const dumpTries = 20

// dump sends a request and calls do for each message of the answer. When the ruleset changes meanwhile it calls reset
// and begins again.
func (c *Conn) dump(op uint16, family uint8, body []byte, reset func(), do func(message)) error {
	for range dumpTries {
		reset()
		err := c.request(op, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, family, body, do)
		if !errors.Is(err, errInterrupted) && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return errInterrupted
}

func (c *Conn) request(op, flags uint16, family uint8, body []byte, do func(message)) error {
	c.seq++
	seq := c.seq
	b, at := appendHeader(nil, nftType(op), flags, seq, family, 0)
	b = finish(append(b, body...), at)
	if err := c.send(b); err != nil {
		return err
	}
	if err := c.sock.SetReadDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	var failed error
	interrupted := false
	for {
		data, err := c.receive()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("no answer from the kernel for %v", replyTimeout)
			}
			return err
		}
		done := false
		each(data, func(m message) bool {
			if m.seq != seq {
				return true // the rest of an earlier answer
			}
			if m.flags&unix.NLM_F_DUMP_INTR != 0 {
				interrupted = true
			}
			switch m.typ {
			case unix.NLMSG_DONE:
				if len(m.raw) >= 4 {
					if code := int32(native.Uint32(m.raw)); code < 0 {
						failed = unix.Errno(-code)
					}
				}
				done = true
			case unix.NLMSG_ERROR:
				failed = m.failure()
				done = true
			default:
				do(m)
				done = done || m.flags&unix.NLM_F_MULTI == 0
			}
			return !done
		})
		if done {
			if failed == nil && interrupted {
				return errInterrupted
			}
			return failed
		}
	}
}
