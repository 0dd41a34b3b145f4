package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
)

// checkReport is what "ipam check -o" writes and "ipam release --from-report" reads.
type checkReport struct {
	Version  int              `json:"version"` // 1
	GUID     string           `json:"clusterGUID"`
	Revision uint64           `json:"revision"`
	Problems []reportProblem  `json:"problems"`
	Leaked   []leakedAddress  `json:"leaked"`
	InUse    []allocatedEntry `json:"inUse,omitempty"`
}

type reportProblem struct {
	Kind    string `json:"kind"`
	Address string `json:"address,omitempty"`
	Handle  string `json:"handle,omitempty"`
	Detail  string `json:"detail"`
}

// leakedAddress is enough to release an address only if it is still what the report saw.
type leakedAddress struct {
	Address  string  `json:"address"`
	Handle   string  `json:"handle,omitempty"`
	Sequence *uint64 `json:"sequence,omitempty"`
}

type allocatedEntry struct {
	Address string `json:"address"`
	Owner   string `json:"owner"`
}

func (e environment) ipamCheckCommand() *cobra.Command {
	var all, problemAddresses bool
	var output string
	c := &cobra.Command{
		Use: "check", Short: "Compare what IPAM keeps with who uses addresses", Args: cobra.NoArgs,
		Long: `Compares blocks, handles and affinities with the workloads and nodes that use addresses. Exits with 1 when something
does not fit. With -o the findings are written as JSON, which "tortie ipam release --from-report" takes.`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := e.open(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			a, err := readAddressing(c.Context(), s)
			if err != nil {
				return err
			}
			state := ipam.State{Pools: a.pools, Blocks: a.blocks, Affinities: a.ties, Handles: a.handles, Owners: a.owners()}
			problems := ipam.Check(state)
			r := a.report(problems, all)
			w := c.OutOrStdout()
			fmt.Fprintf(w, "Checked %d pools, %d blocks, %d affinities, %d handles, %d addresses in use, %d of workloads and nodes.\n",
				len(a.pools), len(a.blocks), len(a.ties), len(a.handles), a.addressesInUse(), len(state.Owners))
			if all {
				for _, entry := range r.InUse {
					fmt.Fprintf(w, "%s: %s\n", entry.Address, entry.Owner)
				}
			}
			counts := map[string]int{}
			for _, p := range r.Problems {
				counts[p.Kind]++
			}
			for _, kind := range sortedKeys(counts) {
				fmt.Fprintf(w, "%s: %d\n", kind, counts[kind])
				for _, p := range r.Problems {
					if p.Kind == kind && (problemAddresses || p.Address == "") {
						fmt.Fprintf(w, "  %s\n", strings.TrimSpace(strings.Join(nonEmpty(p.Address, p.Handle, p.Detail), ": ")))
					}
				}
			}
			var unreadable []error
			for _, p := range a.problems {
				if kind, _, _ := strings.Cut(p.Object, "/"); kind == string(model.KindBlock) || kind == string(model.KindHandle) || kind == string(model.KindAffinity) {
					unreadable = append(unreadable, fmt.Errorf("%s: %s", p.Object, p.Reason))
				}
			}
			if output != "" {
				if err := writeReport(output, r); err != nil {
					return err
				}
			}
			if len(r.Problems) > 0 {
				unreadable = append(unreadable, fmt.Errorf("ipam check: %d problems", len(r.Problems)))
			} else if unreadable == nil {
				fmt.Fprintln(w, "No problems found.")
			}
			return errors.Join(unreadable...)
		},
	}
	c.Flags().BoolVar(&all, "show-all-ips", false, "list every address in use")
	c.Flags().BoolVar(&problemAddresses, "show-problem-ips", false, "list the addresses that do not fit")
	c.Flags().StringVarP(&output, "output", "o", "", "file to write the findings to, as JSON")
	return c
}

func nonEmpty(parts ...string) []string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// owners is who uses addresses: workloads, each once, and the tunnels of nodes.
func (a *addressing) owners() []ipam.Owner {
	var out []ipam.Owner
	type used struct {
		id   model.WorkloadID
		addr netip.Addr
	}
	seen := map[used]bool{}
	addresses := a.addresses()
	for _, w := range values[model.WorkloadEndpoint](a.snapshot) {
		for _, addr := range addresses[w.key] {
			if u := (used{w.value.ID, addr}); !seen[u] {
				seen[u] = true
				out = append(out, ipam.Owner{Address: addr, Name: w.value.ID.String()})
			}
		}
	}
	for _, n := range values[model.Node](a.snapshot) {
		for _, tunnel := range []struct {
			what string
			addr netip.Addr
		}{
			{"IP in IP", n.value.IPIPTunnel}, {"VXLAN", n.value.VXLANTunnel4}, {"VXLAN", n.value.VXLANTunnel6},
			{"WireGuard", n.value.WireguardAddr4}, {"WireGuard", n.value.WireguardAddr6},
		} {
			if tunnel.addr.IsValid() {
				out = append(out, ipam.Owner{Address: tunnel.addr, Name: tunnel.what + " tunnel of node " + n.value.Name})
			}
		}
	}
	return out
}

func (a *addressing) addressesInUse() int {
	total := 0
	for _, b := range a.blocks {
		n, _ := inUse(b)
		total += n
	}
	return total
}

// report puts findings into the form of the report file.
func (a *addressing) report(problems []ipam.Problem, all bool) checkReport {
	r := checkReport{Version: 1, Revision: uint64(a.revision), Problems: []reportProblem{}, Leaked: []leakedAddress{}}
	for _, c := range values[model.ClusterInformation](a.snapshot) {
		r.GUID = c.value.GUID
	}
	for _, p := range problems {
		entry := reportProblem{Kind: string(p.Kind), Handle: p.Handle, Detail: p.Detail}
		if p.Address.IsValid() {
			entry.Address = p.Address.String()
		}
		r.Problems = append(r.Problems, entry)
		if p.Kind != ipam.ProblemLeak {
			continue
		}
		leak := leakedAddress{Address: entry.Address, Handle: p.Handle}
		if b, _, _ := ipam.Lookup(a.blocks, p.Address); b != nil {
			if sequence, ok := b.SequenceNumbers[b.Ordinal(p.Address)]; ok {
				leak.Sequence = &sequence
			}
		}
		r.Leaked = append(r.Leaked, leak)
	}
	if all {
		for _, b := range a.blocks {
			for ordinal, i := range b.Allocations {
				if i >= 0 && i < len(b.Attributes) && b.Attributes[i].ReleasedAt.IsZero() {
					r.InUse = append(r.InUse, allocatedEntry{b.Addr(ordinal).String(), ownerOf(b.Attributes[i])})
				}
			}
		}
	}
	return r
}

func writeReport(path string, r checkReport) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o600)
}

func (e environment) ipamReleaseCommand() *cobra.Command {
	var ips []string
	var path string
	var force bool
	c := &cobra.Command{
		Use: "release", Short: "Give addresses back that nothing uses", Args: cobra.NoArgs,
		Long: `Gives addresses back to their blocks. An address that a workload or a node uses is kept, unless --force. From a
report of "tortie ipam check -o" exactly those leaks are released that are still as the report saw them.`,
		RunE: func(c *cobra.Command, _ []string) error {
			held, guid, err := whatToRelease(ips, path)
			if err != nil {
				return err
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
			for _, info := range values[model.ClusterInformation](a.snapshot) {
				if guid != "" && guid != info.value.GUID && !force {
					return fmt.Errorf("report %s: is of cluster %s, this is %s", path, guid, info.value.GUID)
				}
			}
			held, errs := a.releasable(held, force)
			allocator := ipam.New(s, "", ipam.Options{Handles: true})
			in := ipam.Inputs{Pools: a.pools}
			if a.config != nil {
				in.Config = *a.config
			}
			allocator.SetInputs(in)
			released, err := allocator.ReleaseAddrs(c.Context(), held...)
			for _, addr := range released {
				fmt.Fprintf(c.OutOrStdout(), "%s released\n", addr)
			}
			return errors.Join(append(errs, err)...)
		},
	}
	c.Flags().StringSliceVar(&ips, "ip", nil, "address; may be given several times")
	c.Flags().StringVar(&path, "from-report", "", "report of ipam check")
	c.Flags().BoolVar(&force, "force", false, "also addresses that are in use, and reports of another cluster")
	c.MarkFlagsMutuallyExclusive("ip", "from-report")
	return c
}

// whatToRelease is the addresses of the flags, or the leaks of a report and its cluster.
func whatToRelease(ips []string, path string) (held []ipam.Held, guid string, err error) {
	if (len(ips) == 0) == (path == "") {
		return nil, "", usagef("say what to release: --ip ADDRESS or --from-report FILE")
	}
	if path == "" {
		for _, text := range ips {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, "", usagef("--ip %q: must be an address", text)
			}
			held = append(held, ipam.Held{Addr: addr.Unmap()})
		}
		return held, "", nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	var r checkReport
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, "", fmt.Errorf("report %s: must be what ipam check -o wrote: %w", path, err)
	}
	if r.Version != 1 {
		return nil, "", fmt.Errorf("report %s: version %d: must be 1", path, r.Version)
	}
	for _, leak := range r.Leaked {
		addr, err := netip.ParseAddr(leak.Address)
		if err != nil {
			return nil, "", fmt.Errorf("report %s: address %q: must be an address", path, leak.Address)
		}
		held = append(held, ipam.Held{Addr: addr, Handle: leak.Handle, Sequence: leak.Sequence})
	}
	return held, r.GUID, nil
}

// releasable keeps the addresses that are assigned and that, without force, nothing uses.
func (a *addressing) releasable(held []ipam.Held, force bool) (out []ipam.Held, errs []error) {
	users := map[netip.Addr]string{}
	for _, o := range a.owners() {
		users[o.Address] = o.Name
	}
	for _, h := range held {
		_, _, used := ipam.Lookup(a.blocks, h.Addr)
		switch who, inUse := users[h.Addr]; {
		case !used:
			errs = append(errs, fmt.Errorf("%s: is not assigned", h.Addr))
		case inUse && !force:
			errs = append(errs, fmt.Errorf("%s: is used by %s: not released: --force releases it all the same", h.Addr, who))
		default:
			out = append(out, h)
		}
	}
	return out, errs
}
