package cli

import (
	"context"
	"flag"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/query"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
	"github.com/tortie-net/tortie/internal/store/etcd/embedded"
)

var update = flag.Bool("update", false, "write what the scripts print into their golden files")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tortie": func() { os.Exit(Execute(context.Background(), Root())) },
	})
}

// TestScripts runs testdata/*.txtar: each has an etcd of its own, and the real command line as a process.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			// The path of a socket is at most 107 bytes, the folders of scripts are longer.
			dir, err := os.MkdirTemp("", "cli")
			if err != nil {
				return err
			}
			address := "unix://" + filepath.Join(dir, "s")
			server, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, "data"), Listen: []string{address}})
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := server.Stop(); err != nil {
					t.Error(err)
				}
				os.RemoveAll(dir)
			})
			env.Setenv("ETCD_ENDPOINTS", address)
			env.Setenv("DATASTORE_TYPE", "etcdv3")
			env.Setenv("TORTIE_RUN_DIR", dir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "put": put, "assign": assign, "agent": agent, "fixed": fixed,
		},
	})
}

// exits CODE COMMAND…: runs a command that ends with this exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("%v: exit code %s, not %s", args[1:], code, args[0])
	}
}

// put KEY VALUE: writes bytes into etcd, past the codec.
func put(ts *testscript.TestScript, _ bool, args []string) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{ts.Getenv("ETCD_ENDPOINTS")}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	ts.Check(err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = c.Put(ctx, args[0], args[1])
	ts.Check(err)
}

// assign NODE NAMESPACE POD: gives a pod addresses of the pools, as its node's allocator does.
func assign(ts *testscript.TestScript, _ bool, args []string) {
	s, err := etcd.Open(etcd.Config{Endpoints: []string{ts.Getenv("ETCD_ENDPOINTS")}}, convert.Codec{})
	ts.Check(err)
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	objects, _, err := s.List(ctx, store.Query{Kinds: []model.Kind{model.KindIPPool}})
	ts.Check(err)
	in := ipam.Inputs{Config: model.IPAMConfig{AutoAllocateBlocks: true}}
	v4, v6 := false, false
	for _, o := range objects {
		value, err := convert.Model(o.Key, o.Value)
		ts.Check(err)
		p := value.(*model.IPPool)
		in.Pools = append(in.Pools, p)
		in.Selected = append(in.Selected, p.Name)
		v4, v6 = v4 || p.CIDR.Addr().Is4(), v6 || p.CIDR.Addr().Is6()
	}
	node, namespace, pod := args[0], args[1], args[2]
	a := ipam.New(s, node, ipam.Options{Handles: true})
	a.SetInputs(in)
	addrs, err := a.Assign(ctx, ipam.Request{Handle: "k8s-pod-network." + pod, Want4: v4, Want6: v6, Attributes: map[string]string{
		model.AttrNode: node, model.AttrNamespace: namespace, model.AttrPod: pod,
	}})
	ts.Check(err)
	for i, addr := range addrs {
		ts.Setenv(strings.ToUpper(strings.ReplaceAll(pod, "-", "_"))+"_"+string(rune('0'+i)), addr.String())
	}
}

// fixed FILE: replaces in a file what differs from run to run: uids, times, revisions, the cluster's identity.
func fixed(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// agent: serves the query socket of a node, until the script ends.
func agent(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := query.Listen(filepath.Join(ts.Getenv("TORTIE_RUN_DIR"), "query.sock"))
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = query.Serve(ctx, l, node{}, http.NotFoundHandler())
	}()
	ts.Defer(func() {
		cancel()
		<-done
	})
}

// node is an agent that stands as it is told.
type node struct{}

func (node) Status() query.Status {
	return query.Status{
		Node: "n1", Version: "1.0", Started: time.Now().Add(-5 * time.Hour), NotReady: []string{"planes: 1 object pending"},
		Store:     query.StoreStatus{Connected: true, InSync: true, Revision: 42},
		Planes:    []query.PlaneStatus{{Name: "nft", Objects: 12, Pending: 1, Writes: 3, Failures: map[string]string{"set a": "too many members"}}},
		Endpoints: 4, Bound: 3,
		Problems: []query.Problem{{Object: "IPPool/a", Reason: "spec.cidr: is missing"}},
		BGP: &query.BGPStatus{AS: 64512, RouterID: "10.0.0.1", Adverts: 2, Learned: 5, Peers: []query.Peer{
			{Name: "Mesh_10_0_0_2", Address: "10.0.0.2", AS: 64512, State: "Established", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Received: 3, Sent: 2},
			{Name: "Global_192_0_2_1", Address: "192.0.2.1", AS: 65001, State: "Active", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), LastError: "connection refused"},
			{Name: "Node_fd00__1", Address: "fd00::1", AS: 65001, State: "Idle"},
		}},
	}
}

func (node) Endpoints() []query.Endpoint { return nil }
func (node) Routes() []query.Route       { return nil }
func (node) Counters() []query.Counter   { return nil }

// free is an address on which nobody listens.
func free(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}
