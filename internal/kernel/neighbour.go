package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Neighbour is an entry of the neighbour table: ARP or IPv6 neighbour discovery.
type Neighbour struct {
	Link      int
	Addr      netip.Addr
	MAC       string // lower case with colons; empty: not resolved
	Permanent bool
}

// NeighbourKey identifies an entry.
type NeighbourKey struct {
	Link int
	Addr netip.Addr
}

// Key is the entry's identity.
func (n Neighbour) Key() NeighbourKey { return NeighbourKey{n.Link, n.Addr} }

func (n Neighbour) String() string {
	return fmt.Sprintf("neighbour %v on interface %d", n.Addr, n.Link)
}

const sizeofNdmsg = 12

// Neighbours lists the entries of both families. Proxy entries are left out.
func (h *Handle) Neighbours() ([]Neighbour, error) {
	var found []Neighbour
	for _, fam := range []uint8{unix.AF_INET, unix.AF_INET6} {
		before := len(found)
		body := make([]byte, sizeofNdmsg)
		body[0] = fam
		err := h.raw.dump(unix.RTM_GETNEIGH, body, func() { found = found[:before] }, func(data []byte) error {
			if len(data) < sizeofNdmsg || data[0] != fam || data[10]&unix.NTF_PROXY != 0 {
				return nil
			}
			n, err := decodeNeighbour(data)
			found = append(found, n)
			return err
		})
		if fam == unix.AF_INET6 && unsupported(err) {
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("list neighbours: %w", err)
		}
	}
	return found, nil
}

// NeighbourWrite is one step of WriteNeighbours.
type NeighbourWrite struct {
	Neighbour Neighbour
	Delete    bool // else replace by a permanent entry, or add
}

// WriteNeighbours does the steps in order and returns one error for each and the bytes sent. Deleting what is not there
// is no error.
func (h *Handle) WriteNeighbours(writes []NeighbourWrite) ([]error, int) {
	msgs := make([]message, len(writes))
	early := make([]error, len(writes))
	for i, w := range writes {
		b := make([]byte, sizeofNdmsg)
		b[0] = family(w.Neighbour.Addr)
		binary.NativeEndian.PutUint32(b[4:], uint32(w.Neighbour.Link))
		binary.NativeEndian.PutUint16(b[8:], unix.NUD_PERMANENT)
		b = appendAttr(b, unix.NDA_DST, w.Neighbour.Addr.AsSlice())
		msgs[i] = message{unix.RTM_DELNEIGH, 0, b}
		if w.Delete {
			continue
		}
		mac, err := net.ParseMAC(w.Neighbour.MAC)
		if err != nil {
			early[i] = err
		}
		msgs[i] = message{unix.RTM_NEWNEIGH, unix.NLM_F_CREATE | unix.NLM_F_REPLACE, appendAttr(b, unix.NDA_LLADDR, mac)}
	}
	errs, bytes := h.raw.transact(msgs)
	for i, err := range errs {
		err = errors.Join(early[i], err)
		switch {
		case err == nil:
		case writes[i].Delete && gone(err):
			err = nil
		case writes[i].Delete:
			err = fmt.Errorf("%v: delete: %w", writes[i].Neighbour, err)
		default:
			err = fmt.Errorf("%v: replace: %w", writes[i].Neighbour, err)
		}
		errs[i] = err
	}
	return errs, bytes
}

func decodeNeighbour(b []byte) (Neighbour, error) {
	if len(b) < sizeofNdmsg {
		return Neighbour{}, fmt.Errorf("neighbour message of %d bytes", len(b))
	}
	n := Neighbour{
		Link:      int(binary.NativeEndian.Uint32(b[4:])),
		Permanent: binary.NativeEndian.Uint16(b[8:])&unix.NUD_PERMANENT != 0,
	}
	err := eachAttr(b[sizeofNdmsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.NDA_DST:
			n.Addr, _ = netip.AddrFromSlice(v)
		case unix.NDA_LLADDR:
			n.MAC = net.HardwareAddr(v).String()
		}
	})
	return n, err
}

// gone says that what should be deleted, or its interface, is not there.
func gone(err error) bool {
	return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO)
}

// unsupported says that the kernel lacks an address family.
func unsupported(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPFNOSUPPORT)
}
