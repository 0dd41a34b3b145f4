package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/tortie-net/tortie/internal/model"
)

// TestBlockRules runs the transcripts of testdata/block. The clock stands still but for "at".
func TestBlockRules(t *testing.T) {
	datadriven.Walk(t, "testdata/block", func(t *testing.T, path string) {
		var b *model.Block
		start := time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
		now := start
		var cool cooldowns
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				var cidr string
				d.ScanArgs(t, "cidr", &cidr)
				b = newBlock(netip.MustParsePrefix(cidr), "host:n1", now)
				b.SequenceNumber = 100
			case "write": // one write of the block: lines "assign HANDLE [KEY=VALUE]…", "exactly ADDR HANDLE", "release HANDLE"
				var cooldown int
				var reserved string
				d.MaybeScanArgs(t, "cooldown", &cooldown)
				d.MaybeScanArgs(t, "reserved", &reserved)
				var isReserved func(netip.Addr) bool
				if reserved != "" {
					p := netip.MustParsePrefix(reserved)
					isReserved = p.Contains
				}
				b = b.Clone()
				for line := range strings.Lines(d.Input) {
					if msg := blockLine(b, strings.Fields(line), isReserved, releaseTime(now, time.Duration(cooldown)*time.Second)); msg != "" {
						return msg + "\n"
					}
				}
				b.SequenceNumber++
			case "at":
				var seconds, cooldown int
				d.ScanArgs(t, "seconds", &seconds)
				d.ScanArgs(t, "cooldown", &cooldown)
				now = start.Add(time.Duration(seconds) * time.Second)
				b = b.Clone()
				n := expire(b, func(addr netip.Addr, at time.Time) bool {
					return cool.over(addr, at, now, time.Duration(cooldown)*time.Second)
				})
				if n > 0 {
					b.SequenceNumber++
				}
			default:
				d.Fatalf(t, "unknown command")
			}
			if err := sound(b); err != nil {
				return err.Error() + "\n"
			}
			return showBlock(b)
		})
	})
}

func blockLine(b *model.Block, words []string, reserved func(netip.Addr) bool, releasedAt time.Time) string {
	switch words[0] {
	case "assign", "exactly":
		ordinal := nextFree(b, reserved)
		if words[0] == "exactly" {
			words = words[1:]
			ordinal = b.Ordinal(netip.MustParseAddr(words[0]))
		}
		words = words[1:]
		if ordinal < 0 {
			return "full"
		}
		o := model.Allocation{Handle: words[0]}
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			if o.Attributes == nil {
				o.Attributes = map[string]string{}
			}
			o.Attributes[k] = v
		}
		allocate(b, ordinal, o)
	case "release":
		release(b, heldBy(b, words[1]), releasedAt)
	default:
		return "what is " + words[0]
	}
	return ""
}

func showBlock(b *model.Block) string {
	var s strings.Builder
	fmt.Fprintf(&s, "sequence %d\nallocations", b.SequenceNumber)
	for _, i := range b.Allocations {
		if i < 0 {
			s.WriteString(" -")
		} else {
			fmt.Fprintf(&s, " %d", i)
		}
	}
	fmt.Fprintf(&s, "\nunallocated %v\n", b.Unallocated)
	for i, a := range b.Attributes {
		fmt.Fprintf(&s, "attribute %d: %q %v", i, a.Handle, a.Attributes)
		if !a.ReleasedAt.IsZero() {
			fmt.Fprintf(&s, " released %s", a.ReleasedAt.Format(time.TimeOnly))
		}
		s.WriteByte('\n')
	}
	var ordinals []int
	for o := range b.SequenceNumbers {
		ordinals = append(ordinals, o)
	}
	slices.Sort(ordinals)
	for _, o := range ordinals {
		fmt.Fprintf(&s, "ordinal %d since %d\n", o, b.SequenceNumbers[o])
	}
	return s.String()
}

// TestFirstBlock: the vectors of spec/store-layout.md §1.6. A node that began elsewhere would not find its old blocks.
func TestFirstBlock(t *testing.T) {
	for _, c := range []struct {
		node, pool string
		size       int
		want       string
	}{
		{"compat-node", "10.65.0.0/16", 26, "10.65.107.0/26"},
		{"kn1", "10.65.0.0/16", 26, "10.65.127.0/26"},
		{"compat-node", "fd65::/48", 122, "fd65::6b39:eb65:ddc4:22e5:c380/122"},
		{"any", "10.0.0.0/26", 26, "10.0.0.0/26"},
	} {
		pool := &model.IPPool{CIDR: netip.MustParsePrefix(c.pool), BlockSize: c.size}
		if got := firstBlock(c.node, pool); got.String() != c.want {
			t.Errorf("%s in %s: %s, want %s", c.node, c.pool, got, c.want)
		}
	}
}

// TestUnclaimedFindsEveryBlock takes block after block from a pool: each once, none that is taken, reserved or overlaps
// one of another size, and then an end.
func TestUnclaimedFindsEveryBlock(t *testing.T) {
	for _, c := range []struct {
		name, pool string
		size       int
		taken      []string
		reserved   []string
		want       int
	}{
		{"plain", "10.65.0.0/24", 28, nil, nil, 16},
		{"one block", "10.65.0.0/28", 28, nil, nil, 1},
		{"last of the address space", "255.255.255.0/24", 28, nil, nil, 16},
		{"first of the address space", "0.0.0.0/24", 28, nil, nil, 16},
		{"taken", "10.65.0.0/24", 28, []string{"10.65.0.16/28", "10.65.1.0/28"}, nil, 15},
		{"bigger block in the way", "10.65.0.0/24", 28, []string{"10.65.0.128/26"}, nil, 12},
		{"smaller block in the way", "10.65.0.0/24", 28, []string{"10.65.0.132/32"}, nil, 15},
		{"reserved", "10.65.0.0/24", 28, nil, []string{"10.65.0.0/25"}, 8},
		{"reserved in two halves", "10.65.0.0/24", 28, nil, []string{"10.65.0.16/29", "10.65.0.24/29"}, 15},
		{"reserved in part", "10.65.0.0/24", 28, nil, []string{"10.65.0.16/29"}, 16},
		{"reserved wholly", "10.65.0.0/24", 28, nil, []string{"10.0.0.0/8"}, 0},
		{"IPv6, all but 64 addresses reserved", "fd65::/64", 122, nil, not64("fd65::/64"), 1},
		{"IPv6 at the end", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120", 122, nil, nil, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool := &model.IPPool{CIDR: netip.MustParsePrefix(c.pool), BlockSize: c.size}
			taken := map[netip.Prefix]struct{}{}
			for _, s := range c.taken {
				taken[netip.MustParsePrefix(s)] = struct{}{}
			}
			var reserved []netip.Prefix
			for _, s := range c.reserved {
				reserved = append(reserved, netip.MustParsePrefix(s))
			}
			for n := 0; ; n++ {
				block, ok := unclaimed("node-1", pool, taken, reserved)
				if !ok {
					if n != c.want {
						t.Fatalf("%d blocks, want %d", n, c.want)
					}
					return
				}
				if n >= c.want {
					t.Fatalf("%s is one too many", block)
				}
				for other := range taken {
					if other.Overlaps(block) {
						t.Fatalf("%s overlaps %s", block, other)
					}
				}
				if !pool.CIDR.Contains(block.Addr()) || block.Bits() != c.size || block != block.Masked() {
					t.Fatalf("%s is no block of %s", block, pool.CIDR)
				}
				taken[block] = struct{}{}
			}
		})
	}
}

// not64 covers an IPv6 /64 but for its block …:1:0/122.
func not64(cidr string) []string {
	block := netip.MustParsePrefix("fd65::1:0/122")
	var out []string
	for bits := netip.MustParsePrefix(cidr).Bits() + 1; bits <= 122; bits++ {
		raw := block.Addr().As16()
		raw[(bits-1)/8] ^= 1 << (7 - (bits-1)%8)
		out = append(out, netip.PrefixFrom(netip.AddrFrom16(raw), bits).Masked().String())
	}
	return out
}

func TestBrokenBlocksAreRefused(t *testing.T) {
	for name, breakIt := range map[string]func(*model.Block){
		"short":                func(b *model.Block) { b.Allocations = b.Allocations[1:] },
		"attribute too high":   func(b *model.Block) { b.Allocations[0] = 0 },
		"attribute negative":   func(b *model.Block) { b.Allocations[0] = -2 },
		"free but in use":      func(b *model.Block) { b.Attributes = []model.Allocation{{}}; b.Allocations[0] = 0 },
		"listed twice":         func(b *model.Block) { b.Unallocated[1] = 0 },
		"ordinal out of range": func(b *model.Block) { b.Unallocated[0] = 16 },
	} {
		b := newBlock(netip.MustParsePrefix("10.0.0.0/28"), "", time.Unix(0, 0))
		if err := sound(b); err != nil {
			t.Fatal(err)
		}
		breakIt(b)
		if sound(b) == nil {
			t.Errorf("%s: taken for sound", name)
		}
	}
}

// TestCooldownIsMonotonic: what another clock wrote decides the age once, after that only time that passed here counts.
func TestCooldownIsMonotonic(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.1")
	now := time.Now()
	for _, c := range []struct {
		name     string
		released time.Duration // the stored time, from now
		after    time.Duration
		want     bool
	}{
		{"just released", 0, 59 * time.Second, false},
		{"just released, over", 0, 60 * time.Second, true},
		{"released before we looked", -50 * time.Second, 10 * time.Second, true},
		{"released before we looked, not over", -50 * time.Second, 9 * time.Second, false},
		{"by a clock an hour ahead", time.Hour, 60 * time.Second, true},
		{"by a clock an hour ahead, not over", time.Hour, 59 * time.Second, false},
	} {
		var cool cooldowns
		at := now.Add(c.released).Round(0)
		cool.over(addr, at, now, time.Minute)
		if got := cool.over(addr, at, now.Add(c.after), time.Minute); got != c.want {
			t.Errorf("%s: over %v, want %v", c.name, got, c.want)
		}
	}
}
