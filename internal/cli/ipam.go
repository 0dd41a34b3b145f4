package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

func (e environment) ipamCommand() *cobra.Command {
	c := &cobra.Command{Use: "ipam", Short: "Show, check and mend the management of addresses"}
	group(c)
	c.AddCommand(e.ipamShowCommand(), e.ipamCheckCommand(), e.ipamReleaseCommand(), e.ipamConfigureCommand())
	return c
}

// addressing is everything that IPAM keeps, and the snapshot that it is part of.
type addressing struct {
	*snapshot
	pools   []*model.IPPool
	blocks  []*model.Block
	handles []*model.Handle
	ties    []*model.Affinity
	config  *model.IPAMConfig // nil: never configured
}

// readAddressing reads IPAM at one revision.
func readAddressing(ctx context.Context, s store.Store) (*addressing, error) {
	objects, revision, err := s.List(ctx, store.Query{Kinds: append(engineKinds(), model.KindHandle)})
	if err != nil {
		return nil, err
	}
	a := &addressing{snapshot: &snapshot{revision: revision}, handles: []*model.Handle{}, ties: []*model.Affinity{}}
	for _, o := range objects {
		value, err := any(nil), o.Problem
		if err == nil {
			value, err = convert.Model(o.Key, o.Value)
		}
		a.add(o.Key, value, err)
		switch v := value.(type) {
		case *model.IPPool:
			a.pools = append(a.pools, v)
		case *model.Block:
			a.blocks = append(a.blocks, v)
		case *model.Handle:
			a.handles = append(a.handles, v)
		case *model.Affinity:
			a.ties = append(a.ties, v)
		case *model.IPAMConfig:
			if o.Key.Kind == model.KindIPAMConfig || a.config == nil {
				a.config = v
			}
		}
	}
	return a, nil
}

func reservationsOf(n *snapshot) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range values[model.IPReservation](n) {
		out = append(out, r.value.CIDRs...)
	}
	return out
}

func (e environment) ipamShowCommand() *cobra.Command {
	var blocks, borrowed, configuration bool
	var ip string
	c := &cobra.Command{
		Use: "show", Short: "Show how full the pools are, or what is known of an address", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var addr netip.Addr
			if ip != "" {
				var err error
				if addr, err = netip.ParseAddr(ip); err != nil {
					return usagef("--ip %q: must be an address", ip)
				}
			}
			s, err := e.open(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			a, err := readAddressing(c.Context(), s)
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			for _, p := range a.problems {
				if strings.HasPrefix(p.Object, string(model.KindBlock)+"/") {
					fmt.Fprintf(c.ErrOrStderr(), "warning: %s: %s\n", p.Object, p.Reason)
				}
			}
			switch {
			case ip != "":
				return a.showAddress(w, addr.Unmap())
			case configuration:
				a.showConfiguration(w)
			case borrowed:
				a.showBorrowed(w)
			default:
				a.showUsage(w, blocks)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&blocks, "show-blocks", false, "the blocks of each pool too")
	c.Flags().BoolVar(&borrowed, "show-borrowed", false, "addresses that nodes use from the blocks of others")
	c.Flags().BoolVar(&configuration, "show-configuration", false, "the settings of IPAM")
	c.Flags().StringVar(&ip, "ip", "", "who has this address")
	c.MarkFlagsMutuallyExclusive("show-blocks", "show-borrowed", "show-configuration", "ip")
	return c
}

func (a *addressing) showUsage(w io.Writer, blocks bool) {
	t := newBoxes("GROUPING", "CIDR", "IPS TOTAL", "IPS IN USE", "IPS RESERVED", "IPS FREE")
	for _, u := range ipam.Utilisation(a.pools, a.blocks, reservationsOf(a.snapshot)) {
		grouping := "IP Pool"
		if u.Pool == "" {
			grouping = "No Pool"
		}
		t.line(grouping, u.CIDR.String(), u.Total.String(), share(u.InUse, u.Total), u.Reserved.String(), share(u.Free, u.Total))
		if !blocks {
			continue
		}
		for _, b := range u.Blocks {
			t.line("Block", b.CIDR.String(), b.Total.String(), share(b.InUse, b.Total), b.Reserved.String(), share(b.Free, b.Total))
		}
	}
	t.write(w)
}

// share is a count with its part of the whole.
func share(n, of *big.Int) string {
	if of.Sign() == 0 {
		return n.String()
	}
	percent, _ := new(big.Rat).SetFrac(new(big.Int).Mul(n, big.NewInt(100)), of).Float64()
	return fmt.Sprintf("%s (%.0f%%)", n, percent)
}

func (a *addressing) showBorrowed(w io.Writer) {
	t := newBoxes("IP", "BORROWING-NODE", "BLOCK", "BLOCK OWNER", "TYPE", "ALLOCATED-TO")
	for _, b := range ipam.BorrowedAddresses(a.blocks) {
		kind := b.Owner.Attributes[model.AttrType]
		if kind == "" {
			kind = "pod"
		}
		t.line(b.Address.String(), b.Node, b.Block.String(), strings.TrimPrefix(b.From, "host:"), kind, allocatedTo(b.Owner))
	}
	t.write(w)
}

// allocatedTo names a workload or, without one, the handle.
func allocatedTo(o model.Allocation) string {
	if pod := o.Attributes[model.AttrPod]; pod != "" {
		return o.Attributes[model.AttrNamespace] + "/" + pod
	}
	return o.Handle
}

func (a *addressing) showConfiguration(w io.Writer) {
	cfg := a.config
	if cfg == nil {
		cfg = &model.IPAMConfig{AutoAllocateBlocks: true}
	}
	t := newBoxes("PROPERTY", "VALUE")
	t.line("StrictAffinity", strconv.FormatBool(cfg.StrictAffinity))
	t.line("AutoAllocateBlocks", strconv.FormatBool(cfg.AutoAllocateBlocks))
	t.line("MaxBlocksPerHost", strconv.Itoa(cfg.MaxBlocksPerHost))
	t.line("IPCooldownSeconds", strconv.Itoa(cfg.CooldownSeconds))
	t.write(w)
}

// showAddress says who has an address. Scripts read the first line.
func (a *addressing) showAddress(w io.Writer, addr netip.Addr) error {
	block, o, used := ipam.Lookup(a.blocks, addr)
	switch {
	case block == nil:
		fmt.Fprintf(w, "%s is not assigned: no block holds it\n", addr)
	case used:
		fmt.Fprintf(w, "IP %s is in use\n", addr)
		if o.Handle != "" {
			fmt.Fprintf(w, "Handle: %s\n", o.Handle)
		}
		fmt.Fprintln(w, "Attributes:")
		for _, k := range slices.Sorted(maps.Keys(o.Attributes)) {
			fmt.Fprintf(w, "  %s: %s\n", k, o.Attributes[k])
		}
		if len(o.Alternate) > 0 {
			fmt.Fprintln(w, "Second owner, during a migration:")
			for _, k := range slices.Sorted(maps.Keys(o.Alternate)) {
				fmt.Fprintf(w, "  %s: %s\n", k, o.Alternate[k])
			}
		}
	case !o.ReleasedAt.IsZero():
		fmt.Fprintf(w, "%s is not assigned: it cools down since %s\n", addr, o.ReleasedAt.UTC().Format("2006-01-02T15:04:05Z"))
	default:
		fmt.Fprintf(w, "%s is not assigned\n", addr)
	}
	if block != nil {
		owner := block.Affinity
		if owner == "" {
			owner = "nobody"
		}
		fmt.Fprintf(w, "Block: %s of %s\n", block.CIDR, strings.TrimPrefix(owner, "host:"))
	}
	for _, p := range a.pools {
		if p.CIDR.Contains(addr) {
			fmt.Fprintf(w, "Pool: %s (%s)\n", p.Name, p.CIDR)
		}
	}
	for _, r := range reservationsOf(a.snapshot) {
		if r.Contains(addr) {
			fmt.Fprintf(w, "Reserved by: %s\n", r)
		}
	}
	return nil
}

func (e environment) ipamConfigureCommand() *cobra.Command {
	var strict bool
	var blocks int
	c := &cobra.Command{
		Use: "configure", Short: "Change the settings of IPAM", Args: cobra.NoArgs,
		Example: "  tortie ipam configure --strictaffinity=true --max-blocks-per-host=4",
		RunE: func(c *cobra.Command, _ []string) error {
			setStrict, setBlocks := c.Flags().Changed("strictaffinity"), c.Flags().Changed("max-blocks-per-host")
			if !setStrict && !setBlocks {
				return usagef("say what to change: --strictaffinity=true|false, --max-blocks-per-host=N")
			}
			if blocks < 0 {
				return usagef("--max-blocks-per-host %d: must be 0 (the default) or more", blocks)
			}
			s, err := e.open(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			cfg, err := configure(c.Context(), s, func(cfg *model.IPAMConfig) error {
				if setStrict {
					cfg.StrictAffinity = strict
				}
				if setBlocks {
					cfg.MaxBlocksPerHost = blocks
				}
				if cfg.MaxBlocksPerHost > 0 && !cfg.StrictAffinity {
					return errors.New("max-blocks-per-host: needs strict affinity: add --strictaffinity=true")
				}
				return nil
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "StrictAffinity: %v\nMaxBlocksPerHost: %d\n", cfg.StrictAffinity, cfg.MaxBlocksPerHost)
			return nil
		},
	}
	c.Flags().BoolVar(&strict, "strictaffinity", false, "nodes use addresses of their own blocks only")
	c.Flags().IntVar(&blocks, "max-blocks-per-host", 0, "the most blocks that a node takes")
	return c
}

// configure changes the settings object that every IPAM on the store reads.
func configure(ctx context.Context, s store.Store, change func(*model.IPAMConfig) error) (*model.IPAMConfig, error) {
	key := model.Key{Kind: model.KindIPAMConfig, Name: "default"}
	for range attempts {
		old, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		cfg := &model.IPAMConfig{AutoAllocateBlocks: true}
		if stored, ok := old.Value.(*model.IPAMConfig); ok {
			next := *stored
			cfg = &next
		} else if old.Problem != nil {
			return nil, fmt.Errorf("settings of IPAM: the stored value cannot be read: %w", old.Problem)
		}
		if err := change(cfg); err != nil {
			return nil, err
		}
		if old.Revision == 0 {
			_, err = s.Create(ctx, key, cfg)
		} else {
			_, err = s.Update(ctx, key, cfg, old.Revision)
		}
		if !again(err) {
			return cfg, err
		}
	}
	return nil, fmt.Errorf("settings of IPAM: others change them all the time: %w", store.ErrConflict)
}
