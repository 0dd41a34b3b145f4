package etcd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

// TestUserAndPassword turns authentication on, and also restarts the server: it forgets the tokens that it gave.
func TestUserAndPassword(t *testing.T) {
	server := newServer(t)
	root := server.raw()
	ctx := soon(t)
	for _, err := range []error{
		second(root.UserAdd(ctx, "root", "root-word")),
		second(root.UserGrantRole(ctx, "root", "root")),
		second(root.UserAdd(ctx, "tortie", "right-word")),
		second(root.RoleAdd(ctx, "calico")),
		second(root.RoleGrantPermission(ctx, "calico", "/calico/", "/calico0", clientv3.PermissionType(clientv3.PermReadWrite))),
		second(root.UserGrantRole(ctx, "tortie", "calico")),
		second(root.AuthEnable(ctx)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	open := func(user, password string) *etcd.Store {
		s, err := etcd.Open(etcd.Config{Endpoints: []string{server.endpoint}, Username: user, Password: password}, storetest.Codec{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	for what, s := range map[string]*etcd.Store{"wrong password": open("tortie", "wrong-word"), "no user": server.open()} {
		_, err := s.Get(ctx, pool("a"))
		if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) || strings.Contains(err.Error(), "wrong-word") {
			t.Errorf("%s: %v; want a refusal that tells no password", what, err)
		}
	}
	s := open("tortie", "right-word")
	made, err := s.Create(ctx, pool("a"), &storetest.Thing{Text: "1"})
	if err != nil {
		t.Fatal(err)
	}
	server.stop()
	server.start()
	w, err := s.Watch(ctx, pools, made.Revision)
	if err != nil {
		t.Fatalf("watch after the tokens were forgotten: %v", err)
	}
	defer w.Stop()
	if _, err := s.Update(ctx, pool("a"), &storetest.Thing{Text: "2"}, made.Revision); err != nil {
		t.Fatalf("write after the tokens were forgotten: %v", err)
	}
	if b := <-w.Batches(); len(b.Events) != 1 {
		t.Errorf("watched %+v", b)
	}
	outside := store.Query{Kinds: kubernetesKinds}
	if _, _, err := s.List(ctx, outside); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a list of what the user may not read: %v", err)
	}
	refused, err := s.Watch(ctx, outside, made.Revision)
	if err == nil {
		err = ends(t, refused, 5*time.Second)
	}
	if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrCompacted) {
		t.Errorf("a watch of what the user may not read: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key, a.cert = a.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes NAME.pem and NAME.key.
func (a *authority) sign(name string, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	rawKey, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: raw}, ".key": {Type: "EC PRIVATE KEY", Bytes: rawKey}} {
		if err := os.WriteFile(a.path(name+path), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// front puts TLS, with client certificates, before a server's socket.
func (a *authority) front(socket string) string {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path("server.pem"), a.path("server.key"))
	if err != nil {
		a.t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			wg.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
			wg.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
		}
	})
	a.t.Cleanup(func() { _ = listener.Close(); wg.Wait() })
	return "https://" + listener.Addr().String()
}

func TestTLS(t *testing.T) {
	server := newServer(t)
	a := newAuthority(t)
	a.sign("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	a.sign("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	stranger := newAuthority(t)
	endpoint := a.front(strings.TrimPrefix(server.endpoint, "unix://"))
	full := etcd.Config{Endpoints: []string{endpoint}, CAFile: a.path("ca.pem"), CertFile: a.path("client.pem"), KeyFile: a.path("client.key")}

	get := func(c etcd.Config) error {
		s, err := etcd.Open(c, storetest.Codec{})
		if err != nil {
			return err
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		_, err = s.Get(ctx, pool("a"))
		return err
	}
	if err := get(full); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("with all files: %v", err)
	}
	bare := full
	bare.Endpoints = []string{strings.TrimPrefix(endpoint, "https://")}
	if err := get(bare); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("with all files and an endpoint without scheme: %v", err)
	}
	for what, change := range map[string]func(*etcd.Config){
		"another authority":          func(c *etcd.Config) { c.CAFile = stranger.path("ca.pem") },
		"no client certificate":      func(c *etcd.Config) { c.CertFile, c.KeyFile = "", "" },
		"a key that fits not":        func(c *etcd.Config) { c.KeyFile = a.path("server.key") },
		"no authority there":         func(c *etcd.Config) { c.CAFile = a.path("none.pem") },
		"an authority that is a key": func(c *etcd.Config) { c.CAFile = a.path("ca.key") },
	} {
		c := full
		change(&c)
		if err := get(c); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v; want a refusal", what, err)
		}
	}
}
