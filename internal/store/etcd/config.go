package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Config says how the store is reached.
type Config struct {
	// Endpoints are URLs: http://host:port, https://host:port, unix:///path of a socket. A bare host:port is taken as
	// https with TLS files, else as http.
	Endpoints []string

	// The TLS files. CAFile verifies the servers (empty: the system's roots); CertFile and KeyFile are given together,
	// and read again for each connection, so that they can be renewed.
	CAFile, CertFile, KeyFile string

	// Username and Password are given together or not at all.
	Username, Password string
}

// String shows where the store is, and no secret.
func (c Config) String() string { return "etcd at " + strings.Join(c.Endpoints, ",") }

// GoString is String: the secrets are not printed by %#v either.
func (c Config) GoString() string { return c.String() }

// defaultEndpoint is where Calico's tools look when nothing is said.
const defaultEndpoint = "http://127.0.0.1:2379"

// FromEnv reads the variables that Calico's tools use: ETCD_ENDPOINTS (comma list), ETCD_CA_CERT_FILE, ETCD_CERT_FILE,
// ETCD_KEY_FILE, ETCD_USERNAME, ETCD_PASSWORD. DATASTORE_TYPE must be etcdv3 or empty.
func FromEnv(getenv func(string) string) (Config, error) {
	if kind := getenv("DATASTORE_TYPE"); kind != "" && kind != "etcdv3" {
		return Config{}, fmt.Errorf("DATASTORE_TYPE %q: this is the etcd store: must be etcdv3 or unset", kind)
	}
	if getenv("ETCD_DISCOVERY_SRV") != "" {
		return Config{}, errors.New("ETCD_DISCOVERY_SRV: finding etcd by DNS is not supported: list the servers in ETCD_ENDPOINTS")
	}
	c := Config{
		CAFile:   getenv("ETCD_CA_CERT_FILE"),
		CertFile: getenv("ETCD_CERT_FILE"),
		KeyFile:  getenv("ETCD_KEY_FILE"),
		Username: getenv("ETCD_USERNAME"),
		Password: getenv("ETCD_PASSWORD"),
	}
	for endpoint := range strings.SplitSeq(getenv("ETCD_ENDPOINTS"), ",") {
		if endpoint = strings.TrimSpace(endpoint); endpoint != "" {
			c.Endpoints = append(c.Endpoints, endpoint)
		}
	}
	if len(c.Endpoints) == 0 {
		c.Endpoints = []string{defaultEndpoint}
	}
	return c, c.validate()
}

// validate says what is wrong with a configuration, in the words of the variables that a user sets.
func (c Config) validate() error {
	if len(c.Endpoints) == 0 {
		return errors.New("etcd endpoints: at least one is needed, like http://127.0.0.1:2379 or unix:///run/etcd.sock")
	}
	secure, plain := 0, 0
	for _, endpoint := range c.Endpoints {
		if !strings.Contains(endpoint, "://") {
			continue
		}
		u, err := url.Parse(endpoint)
		switch {
		case err != nil || u.User != nil:
			// Not the endpoint itself, nor the parser's words, which repeat it: it may hold a password.
			return errors.New("etcd endpoint: must be http://host:port, https://host:port or unix:///path, without user or password in it")
		case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
			plain++
		case u.Scheme == "http" && u.Host != "":
			plain++
		case u.Scheme == "https" && u.Host != "":
			secure++
		default:
			return fmt.Errorf("etcd endpoint %q: must be http://host:port, https://host:port or unix:///path", endpoint)
		}
	}
	if secure > 0 && plain > 0 {
		return fmt.Errorf("etcd endpoints %s: must all be https, or none", strings.Join(c.Endpoints, ","))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("etcd client certificate: ETCD_CERT_FILE and ETCD_KEY_FILE must be given together")
	}
	if (c.Username == "") != (c.Password == "") {
		return errors.New("etcd user: ETCD_USERNAME and ETCD_PASSWORD must be given together")
	}
	return nil
}

// urls are the endpoints with a scheme each.
func (c Config) urls() []string {
	scheme := "http://"
	if c.CAFile != "" || c.CertFile != "" {
		scheme = "https://"
	}
	urls := make([]string, len(c.Endpoints))
	for i, endpoint := range c.Endpoints {
		urls[i] = endpoint
		if !strings.Contains(endpoint, "://") {
			urls[i] = scheme + endpoint
		}
	}
	return urls
}

// tls is the client's side of TLS, or nil when no endpoint asks for it.
func (c Config) tls() (*tls.Config, error) {
	if !strings.HasPrefix(c.urls()[0], "https://") {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("etcd CA file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd CA file %s: holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("etcd client certificate %s with key %s: %w", c.CertFile, c.KeyFile, err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil { // now, rather than at the first connection
			return nil, err
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return t, nil
}
