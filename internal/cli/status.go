package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/query"
	"github.com/tortie-net/tortie/internal/store"
)

// defaultRunDir is where an agent has its sockets unless it is told otherwise.
const defaultRunDir = "/run/tortie"

// runDir is the folder of --run-dir, else of TORTIE_RUN_DIR, else the default.
func (e environment) runDir(flag string) string {
	if flag != "" {
		return flag
	}
	if dir := e.getenv("TORTIE_RUN_DIR"); dir != "" {
		return dir
	}
	return defaultRunDir
}

func runDirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "run-dir", "", "folder of the agent's sockets (default TORTIE_RUN_DIR, else "+defaultRunDir+")")
	_ = c.MarkFlagDirname("run-dir")
}

// localAgent asks the agent of this node. What it cannot be asked for is store.ErrUnavailable.
func localAgent(ctx context.Context, dir string) (query.Status, error) {
	socket := filepath.Join(dir, "query.sock")
	client := query.NewClient(socket)
	defer client.Close()
	s, err := client.Status(ctx)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return s, noAgent("no agent runs on this node: " + socket + " is not there")
	case errors.Is(err, os.ErrPermission):
		return s, fmt.Errorf("the agent answers root and members of group %s only: %s: %w", query.Group, socket, os.ErrPermission)
	case err != nil:
		return s, noAgent(fmt.Sprintf("the agent does not answer: %s: %v", socket, err))
	}
	return s, nil
}

// noAgent is an agent that does not answer: for the exit code, as a store that is away.
type noAgent string

func (e noAgent) Error() string        { return string(e) }
func (e noAgent) Is(target error) bool { return target == store.ErrUnavailable }

// clusterStatus is what status says of the store, and of the agent of this node.
type clusterStatus struct {
	Store     string        `json:"store"`
	Revision  uint64        `json:"revision"`
	GUID      string        `json:"clusterGUID,omitempty"`
	Ready     bool          `json:"datastoreReady"`
	Objects   int           `json:"objects"`
	Policies  int           `json:"policies"`
	Workloads int           `json:"workloads"`
	Nodes     []nodeLine    `json:"nodes"`
	Pools     []poolLine    `json:"pools"`
	Problems  []problem     `json:"problems"`
	Agent     *query.Status `json:"agent,omitempty"`
	NoAgent   string        `json:"noAgent,omitempty"`
}

type nodeLine struct {
	Name      string `json:"name"`
	IPv4      string `json:"ipv4,omitempty"`
	IPv6      string `json:"ipv6,omitempty"`
	AS        uint32 `json:"as,omitempty"`
	Workloads int    `json:"workloads"`
	Blocks    int    `json:"blocks"`
	Agent     string `json:"agent"` // ready, not ready, or not asked
}

type poolLine struct {
	Name  string `json:"name"`
	CIDR  string `json:"cidr"`
	Total string `json:"total"`
	InUse string `json:"inUse"`
	Free  string `json:"free"`
	State string `json:"state"`
}

func (e environment) statusCommand() *cobra.Command {
	var dir, output string
	c := &cobra.Command{
		Use: "status", Short: "Show how the cluster stands: store, nodes, pools, and what is wrong", Args: cobra.NoArgs,
		Long: `Shows the store, the nodes, the pools, every stored object that cannot be used as it stands, and how the agent of
this node is. The agents of other nodes are asked on their own nodes, with "tortie node status".`,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return usagef("-o %q: must be json, or left out", output)
			}
			n, err := e.storeSnapshot(c.Context())
			if err != nil {
				return err
			}
			s := clusterOf(n)
			agent, err := localAgent(c.Context(), e.runDir(dir))
			if err != nil {
				s.NoAgent = err.Error()
			} else {
				s.Agent = &agent
				for i := range s.Nodes {
					if s.Nodes[i].Name == agent.Node {
						s.Nodes[i].Agent = readyWord(agent.Ready)
					}
				}
			}
			if output == "json" {
				if err := writeJSON(c.OutOrStdout(), s); err != nil {
					return err
				}
				return nil
			}
			return e.printStatus(c.OutOrStdout(), &s)
		},
	}
	runDirFlag(c, &dir)
	c.Flags().StringVarP(&output, "output", "o", "", "json")
	return c
}

func readyWord(ready bool) string {
	if ready {
		return "ready"
	}
	return "not ready"
}

// clusterOf sums a snapshot up.
func clusterOf(n *snapshot) clusterStatus {
	g := newEngine(n)
	s := clusterStatus{Store: "etcdv3", Revision: uint64(n.revision), Objects: n.objects, Ready: true, Problems: slices.Clone(n.problems)}
	for _, c := range values[model.ClusterInformation](n) {
		s.GUID, s.Ready = c.value.GUID, c.value.Ready
	}
	s.Policies = len(values[model.Policy](n))
	s.Workloads = len(g.workloads)
	var blocks []*model.Block
	perNode := map[string]int{}
	for _, b := range values[model.Block](n) {
		blocks = append(blocks, b.value)
		perNode[b.value.Node()]++
	}
	workloads := map[string]int{}
	for _, w := range g.workloads {
		workloads[w.value.Node]++
	}
	for _, node := range g.nodes {
		line := nodeLine{Name: node.value.Name, AS: node.value.ASNumber, Workloads: workloads[node.value.Name], Blocks: perNode[node.value.Name], Agent: "not asked"}
		if speaker := g.speakers[node.value.Name]; speaker != nil && speaker.Enabled {
			line.AS = speaker.AS
		}
		if p := node.value.IPv4; p.IsValid() {
			line.IPv4 = p.String()
		}
		if p := node.value.IPv6; p.IsValid() {
			line.IPv6 = p.String()
		}
		s.Nodes = append(s.Nodes, line)
		if cfg := g.configs[node.value.Name]; cfg != nil {
			for _, text := range cfg.Problems {
				s.Problems = append(s.Problems, problem{"settings of node " + node.value.Name, text})
			}
		}
	}
	s.Pools = poolLines(n, blocks)
	return s
}

func poolLines(n *snapshot, blocks []*model.Block) []poolLine {
	var pools []*model.IPPool
	disabled := map[string]bool{}
	for _, p := range values[model.IPPool](n) {
		pools = append(pools, p.value)
		disabled[p.value.Name] = p.value.Disabled
	}
	var out []poolLine
	for _, u := range ipam.Utilisation(pools, blocks, reservationsOf(n)) {
		line := poolLine{Name: u.Pool, CIDR: u.CIDR.String(), Total: u.Total.String(), InUse: u.InUse.String(), Free: u.Free.String(), State: "enabled"}
		switch {
		case u.Pool == "":
			line.Name, line.State = "(no pool)", "blocks outside pools"
		case disabled[u.Pool]:
			line.State = "disabled"
		}
		out = append(out, line)
	}
	return out
}

func (e environment) printStatus(w io.Writer, s *clusterStatus) error {
	fmt.Fprintf(w, "Store: %s, revision %d, %d objects: %d policies, %d workloads\n", s.Store, s.Revision, s.Objects, s.Policies, s.Workloads)
	fmt.Fprintf(w, "Cluster: %s\n", s.GUID)
	if !s.Ready {
		fmt.Fprintln(w, "The store is locked (datastoreReady false): nodes change nothing and take no new workloads.")
	}
	t := newTable(w)
	fmt.Fprintf(w, "\nNodes: %d\n", len(s.Nodes))
	if len(s.Nodes) > 0 {
		t.line("NAME", "IPV4", "IPV6", "ASN", "WORKLOADS", "BLOCKS", "AGENT")
	}
	for _, n := range s.Nodes {
		as := ""
		if n.AS != 0 {
			as = strconv.FormatUint(uint64(n.AS), 10)
		}
		t.line(n.Name, n.IPv4, n.IPv6, as, strconv.Itoa(n.Workloads), strconv.Itoa(n.Blocks), n.Agent)
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nPools: %d\n", len(s.Pools))
	t = newTable(w)
	if len(s.Pools) > 0 {
		t.line("NAME", "CIDR", "TOTAL", "IN USE", "FREE", "STATE")
	}
	for _, p := range s.Pools {
		t.line(p.Name, p.CIDR, p.Total, p.InUse, p.Free, p.State)
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nProblems: %d\n", len(s.Problems))
	for _, p := range s.Problems {
		fmt.Fprintf(w, "  %s: %s\n", p.Object, p.Reason)
	}
	fmt.Fprintln(w)
	if s.Agent == nil {
		fmt.Fprintf(w, "This node: %s\n", s.NoAgent)
		return nil
	}
	return e.printAgent(w, s.Agent)
}

// printAgent shows how an agent stands.
func (e environment) printAgent(w io.Writer, a *query.Status) error {
	fmt.Fprintf(w, "Node %s: %s, tortie %s, up %s\n", a.Node, readyWord(a.Ready), a.Version, span(e.now().Sub(a.Started)))
	for _, reason := range a.NotReady {
		fmt.Fprintf(w, "  not ready: %s\n", reason)
	}
	state := "not connected"
	if a.Store.Connected {
		state = "connected"
	}
	if a.Store.InSync {
		state += ", in sync"
	}
	fmt.Fprintf(w, "Store: %s, revision %d\n", state, a.Store.Revision)
	if a.Store.LastError != "" && !a.Store.Connected {
		fmt.Fprintf(w, "  %s\n", a.Store.LastError)
	}
	fmt.Fprintf(w, "Workloads: %d, %d of them have their interface\n\n", a.Endpoints, a.Bound)
	t := newTable(w)
	t.line("PLANE", "OBJECTS", "PENDING", "WRITES", "REPAIRS", "ERROR")
	for _, p := range a.Planes {
		t.line(p.Name, strconv.Itoa(p.Objects), strconv.Itoa(p.Pending), strconv.FormatUint(p.Writes, 10), strconv.FormatUint(p.Repairs, 10), p.Error)
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, p := range a.Planes {
		for _, object := range sortedKeys(p.Failures) {
			fmt.Fprintf(w, "  %s: %s: %s\n", p.Name, object, p.Failures[object])
		}
	}
	for _, p := range a.Problems {
		fmt.Fprintf(w, "  problem: %s: %s\n", p.Object, p.Reason)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (e environment) nodeCommand() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "Show this node"}
	group(c)
	var dir, output string
	status := &cobra.Command{
		Use: "status", Short: "Show how the agent of this node stands, and its BGP peers", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return usagef("-o %q: must be json, or left out", output)
			}
			a, err := localAgent(c.Context(), e.runDir(dir))
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			if output == "json" {
				if err := writeJSON(w, a); err != nil {
					return err
				}
				return nil
			}
			if err := e.printAgent(w, &a); err != nil {
				return err
			}
			return e.printPeers(w, &a)
		},
	}
	runDirFlag(status, &dir)
	status.Flags().StringVarP(&output, "output", "o", "", "json")
	c.AddCommand(status)
	return c
}

// printPeers shows the BGP sessions of each family, in the columns of calicoctl.
func (e environment) printPeers(w io.Writer, a *query.Status) error {
	if a.BGP == nil {
		fmt.Fprintln(w, "\nBGP is off on this node.")
		return nil
	}
	fmt.Fprintf(w, "\nBGP: AS %d, router ID %s, %d prefixes announced, %d learned\n", a.BGP.AS, a.BGP.RouterID, a.BGP.Adverts, a.BGP.Learned)
	for _, v6 := range []bool{false, true} {
		title := "IPv4 BGP status"
		if v6 {
			title = "IPv6 BGP status"
		}
		fmt.Fprintf(w, "\n%s\n", title)
		var peers []query.Peer
		for _, p := range a.BGP.Peers {
			if strings.Contains(p.Address, ":") == v6 {
				peers = append(peers, p)
			}
		}
		if len(peers) == 0 {
			fmt.Fprintf(w, "No %s peers found.\n", title[:4])
			continue
		}
		t := newBoxes("PEER ADDRESS", "PEER TYPE", "STATE", "SINCE", "INFO")
		for _, p := range peers {
			t.line(p.Address, peerType(p.Name), peerState(p.State), sinceText(p.Since, e.now()), peerInfo(p))
		}
		t.write(w)
	}
	return nil
}

// peerType is where a peering comes from, by the prefix of its name (spec/store-layout.md §1.8).
func peerType(name string) string {
	switch {
	case strings.HasPrefix(name, "Mesh_"):
		return "node-to-node mesh"
	case strings.HasPrefix(name, "Node_"):
		return "node specific"
	case strings.HasPrefix(name, "Global_"):
		return "global"
	}
	return name
}

// peerState is up where the session stands, as calicoctl says; else start.
func peerState(state string) string {
	switch state {
	case "Established":
		return "up"
	case "Idle":
		return "down"
	}
	return "start"
}

func peerInfo(p query.Peer) string {
	info := p.State
	if p.State == "Established" {
		return fmt.Sprintf("%s (%d received, %d sent)", info, p.Received, p.Sent)
	}
	if p.LastError != "" {
		info += ": " + p.LastError
	}
	return info
}

// sinceText is the time of day for what began within a day, else the day.
func sinceText(at, now time.Time) string {
	switch {
	case at.IsZero():
		return ""
	case now.Sub(at) < 24*time.Hour:
		return at.Local().Format(time.TimeOnly)
	}
	return at.Local().Format(time.DateOnly)
}
