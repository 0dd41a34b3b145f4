package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// The etcd forms of what IPAM keeps (spec/store-layout.md §1.6). Fields stand in the order in which Calico writes them,
// so that a value read and written again is equal byte for byte.

type blockJSON struct {
	CIDR              string             `json:"cidr"`
	Affinity          *string            `json:"affinity"`
	AffinityClaimTime *time.Time         `json:"affinity_claim_time,omitempty"`
	HostAffinity      *string            `json:"hostAffinity,omitempty"` // written before there were affinity types
	Allocations       []*int             `json:"allocations"`
	Unallocated       []int              `json:"unallocated"`
	Attributes        []allocationJSON   `json:"attributes"`
	SequenceNumber    uint64             `json:"sequenceNumber"`
	SequenceNumbers   map[ordinal]uint64 `json:"sequenceNumberForAllocation"`
	Deleted           bool               `json:"deleted"`
}

type allocationJSON struct {
	Handle     *string           `json:"handle_id,omitempty"`
	Attributes map[string]string `json:"secondary,omitempty"`
	Alternate  map[string]string `json:"alternateOwnerAttrs,omitempty"`
	ReleasedAt *time.Time        `json:"releasedAt,omitempty"`
}

// ordinal is the place of an address in its block; as a JSON key it is text.
type ordinal int

// MarshalText writes the decimal number.
func (o ordinal) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(o), 10), nil }

// UnmarshalText reads it.
func (o *ordinal) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	*o = ordinal(n)
	return err
}

type affinityJSON struct {
	State   model.AffinityState `json:"state"`
	Deleted bool                `json:"deleted"`
}

type handleJSON struct {
	Blocks  map[string]int `json:"block"`
	Deleted bool           `json:"deleted"`
}

type ipamConfigJSON struct {
	StrictAffinity     bool   `json:"strict_affinity,omitempty"`
	AutoAllocateBlocks bool   `json:"auto_allocate_blocks,omitempty"`
	MaxBlocksPerHost   int    `json:"maxBlocksPerHost,omitempty"`
	VMPersistence      string `json:"kubeVirtVMAddressPersistence,omitempty"`
	CooldownSeconds    int    `json:"ipCooldownSeconds,omitempty"`
}

// maxBlockBits bounds the size of a block: 2^16 addresses. The API allows 2^12 (/20, /116).
const maxBlockBits = 16

func decodeBlock(raw []byte) (*model.Block, error) {
	var in blockJSON
	if err := strictJSON(raw, &in); err != nil {
		return nil, err
	}
	cidr, err := netip.ParsePrefix(in.CIDR)
	if err != nil || cidr.Addr().Is4In6() || cidr != cidr.Masked() {
		return nil, fmt.Errorf("cidr: %.*q: must be a CIDR without host bits", maxShown, in.CIDR)
	}
	hostBits := cidr.Addr().BitLen() - cidr.Bits()
	if hostBits > maxBlockBits {
		return nil, fmt.Errorf("cidr: %s: holds more than 2^%d addresses", cidr, maxBlockBits)
	}
	if size := 1 << hostBits; len(in.Allocations) != size {
		return nil, fmt.Errorf("allocations: has %d entries: must be %d, the size of %s", len(in.Allocations), size, cidr)
	}
	b := &model.Block{
		CIDR:            cidr,
		Allocations:     make([]int, len(in.Allocations)),
		Unallocated:     in.Unallocated,
		Attributes:      make([]model.Allocation, len(in.Attributes)),
		SequenceNumber:  in.SequenceNumber,
		SequenceNumbers: make(map[int]uint64, len(in.SequenceNumbers)),
		Deleted:         in.Deleted,
	}
	switch {
	case in.Affinity != nil:
		b.Affinity = *in.Affinity
	case in.HostAffinity != nil && *in.HostAffinity != "":
		b.Affinity = "host:" + *in.HostAffinity
	}
	if in.AffinityClaimTime != nil {
		b.AffinityClaimTime = in.AffinityClaimTime.UTC()
	}
	for i, a := range in.Attributes {
		b.Attributes[i] = model.Allocation{Attributes: a.Attributes, Alternate: a.Alternate}
		if a.Handle != nil {
			b.Attributes[i].Handle = *a.Handle
		}
		if a.ReleasedAt != nil {
			b.Attributes[i].ReleasedAt = a.ReleasedAt.UTC()
		}
	}
	for o, n := range in.SequenceNumbers {
		if o < 0 || int(o) >= len(in.Allocations) {
			return nil, fmt.Errorf("sequenceNumberForAllocation: ordinal %d is outside of %s", o, cidr)
		}
		b.SequenceNumbers[int(o)] = n
	}
	return b, placeOrdinals(b, in.Allocations)
}

// placeOrdinals fills Allocations, and keeps in Unallocated only what is truly free: an ordinal that the stored list
// names although it is allocated, outside of the block or there already could go to two workloads.
func placeOrdinals(b *model.Block, allocations []*int) error {
	for i, a := range allocations {
		b.Allocations[i] = -1
		if a == nil {
			continue
		}
		if *a < 0 || *a >= len(b.Attributes) {
			return fmt.Errorf("allocations[%d]: %d: must be below %d, the number of attributes", i, *a, len(b.Attributes))
		}
		b.Allocations[i] = *a
	}
	seen := make([]bool, len(allocations))
	free := make([]int, 0, len(b.Unallocated))
	for _, o := range b.Unallocated {
		if o >= 0 && o < len(seen) && !seen[o] && b.Allocations[o] < 0 {
			seen[o] = true
			free = append(free, o)
		}
	}
	b.Unallocated = free
	return nil
}

func encodeBlock(b *model.Block) ([]byte, error) {
	out := blockJSON{
		CIDR:            b.CIDR.String(),
		Allocations:     make([]*int, len(b.Allocations)),
		Unallocated:     b.Unallocated,
		Attributes:      make([]allocationJSON, len(b.Attributes)),
		SequenceNumber:  b.SequenceNumber,
		SequenceNumbers: make(map[ordinal]uint64, len(b.SequenceNumbers)),
		Deleted:         b.Deleted,
	}
	if b.Affinity != "" {
		out.Affinity = &b.Affinity
	}
	out.AffinityClaimTime = stamp(b.AffinityClaimTime)
	for i := range b.Allocations {
		if b.Allocations[i] >= 0 {
			out.Allocations[i] = &b.Allocations[i]
		}
	}
	if out.Unallocated == nil {
		out.Unallocated = []int{}
	}
	for i := range b.Attributes {
		a := &b.Attributes[i]
		out.Attributes[i] = allocationJSON{Attributes: a.Attributes, Alternate: a.Alternate, ReleasedAt: stamp(a.ReleasedAt)}
		if a.Handle != "" {
			out.Attributes[i].Handle = &a.Handle
		}
	}
	for o, n := range b.SequenceNumbers {
		out.SequenceNumbers[ordinal(o)] = n
	}
	return compactJSON(out)
}

// stamp is a time in whole seconds, UTC, as the store keeps it; nil for the zero time.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

func decodeAffinity(key model.Key, raw []byte) (*model.Affinity, error) {
	cidr, err := netip.ParsePrefix(key.Name)
	if err != nil {
		return nil, fmt.Errorf("key: %.*q: must be a CIDR", maxShown, key.Name)
	}
	in := affinityJSON{State: model.AffinityConfirmed} // an empty value is how old allocators said confirmed
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := strictJSON(raw, &in); err != nil {
			return nil, err
		}
	}
	switch in.State {
	case "":
		in.State = model.AffinityConfirmed
	case model.AffinityConfirmed, model.AffinityPending, model.AffinityPendingDeletion:
	default:
		return nil, fmt.Errorf("state: %.*q: %s", maxShown, in.State, oneOf("confirmed", "pending", "pendingDeletion"))
	}
	return &model.Affinity{Owner: key.Namespace, CIDR: cidr, State: in.State, Deleted: in.Deleted}, nil
}

func decodeHandle(key model.Key, raw []byte) (*model.Handle, error) {
	var in handleJSON
	if err := strictJSON(raw, &in); err != nil {
		return nil, err
	}
	h := &model.Handle{ID: key.Name, Blocks: make(map[netip.Prefix]int, len(in.Blocks)), Deleted: in.Deleted}
	for text, n := range in.Blocks {
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("block: %.*q: must be a CIDR", maxShown, text)
		}
		h.Blocks[cidr] += n
	}
	return h, nil
}

func encodeHandle(h *model.Handle) ([]byte, error) {
	out := handleJSON{Blocks: make(map[string]int, len(h.Blocks)), Deleted: h.Deleted}
	for cidr, n := range h.Blocks {
		out.Blocks[cidr.String()] = n
	}
	return compactJSON(out)
}

func decodeIPAMConfig(raw []byte) (*model.IPAMConfig, error) {
	var in ipamConfigJSON
	if err := strictJSON(raw, &in); err != nil {
		return nil, err
	}
	if in.MaxBlocksPerHost < 0 || in.CooldownSeconds < 0 {
		return nil, errors.New("maxBlocksPerHost and ipCooldownSeconds must not be negative")
	}
	return &model.IPAMConfig{
		StrictAffinity: in.StrictAffinity, AutoAllocateBlocks: in.AutoAllocateBlocks,
		MaxBlocksPerHost: in.MaxBlocksPerHost, CooldownSeconds: in.CooldownSeconds, VMPersistence: in.VMPersistence,
	}, nil
}

func encodeIPAMConfig(c *model.IPAMConfig) ([]byte, error) {
	return compactJSON(ipamConfigJSON{
		StrictAffinity: c.StrictAffinity, AutoAllocateBlocks: c.AutoAllocateBlocks,
		MaxBlocksPerHost: c.MaxBlocksPerHost, CooldownSeconds: c.CooldownSeconds, VMPersistence: c.VMPersistence,
	})
}

// strictJSON reads one JSON object. Fields that it does not know are passed over: a newer writer may have put them there.
func strictJSON(raw []byte, into any) error {
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("must be a JSON object")
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("json: %w", err)
	}
	return nil
}

// compactJSON is JSON on one line, with <, > and & escaped as Calico's client does.
func compactJSON(value any) ([]byte, error) { return json.Marshal(value) }
