package etcd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestFromEnv(t *testing.T) {
	c, err := FromEnv(env("DATASTORE_TYPE", "etcdv3", "ETCD_ENDPOINTS", " https://a:2379, https://b:2379 ,", "ETCD_CA_CERT_FILE", "ca",
		"ETCD_CERT_FILE", "cert", "ETCD_KEY_FILE", "key", "ETCD_USERNAME", "u", "ETCD_PASSWORD", "p"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Endpoints, []string{"https://a:2379", "https://b:2379"}) || c.CAFile != "ca" || c.CertFile != "cert" || c.KeyFile != "key" || c.Username != "u" || c.Password != "p" {
		t.Errorf("got endpoints %v, ca %q, cert %q, key %q, user %q", c.Endpoints, c.CAFile, c.CertFile, c.KeyFile, c.Username)
	}
	if c, err := FromEnv(env()); err != nil || !slices.Equal(c.Endpoints, []string{defaultEndpoint}) {
		t.Errorf("nothing set: %v, %v", c, err)
	}
	if c, err := FromEnv(env("ETCD_ENDPOINTS", "unix:///run/etcd.sock")); err != nil || !slices.Equal(c.urls(), []string{"unix:///run/etcd.sock"}) {
		t.Errorf("a socket: %v, %v", c, err)
	}
}

func TestSettingsThatCannotBeAreNamed(t *testing.T) {
	for _, c := range []struct {
		want string
		env  []string
	}{
		{"ETCD_DISCOVERY_SRV", []string{"ETCD_DISCOVERY_SRV", "example.org"}},
		{"DATASTORE_TYPE", []string{"DATASTORE_TYPE", "kubernetes"}},
		{"ETCD_KEY_FILE", []string{"ETCD_CERT_FILE", "cert"}},
		{"ETCD_CERT_FILE", []string{"ETCD_KEY_FILE", "key"}},
		{"ETCD_PASSWORD", []string{"ETCD_USERNAME", "u"}},
		{"ETCD_USERNAME", []string{"ETCD_PASSWORD", "p"}},
		{"http://host:port", []string{"ETCD_ENDPOINTS", "ftp://a:1"}},
		{"unix:///path", []string{"ETCD_ENDPOINTS", "unix://run/etcd.sock"}},
		{"all be https", []string{"ETCD_ENDPOINTS", "https://a:1,http://b:1"}},
		{"without user", []string{"ETCD_ENDPOINTS", "http://u:secret-word@a:1"}},
	} {
		_, err := FromEnv(env(c.env...))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v; want an error with %q", c.env, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret-word") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	c := Config{Endpoints: []string{"http://a:1"}, Username: "secret-user", Password: "secret-word"}
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if shown := fmt.Sprintf(form, c); strings.Contains(shown, "secret") {
			t.Errorf("%s: %s", form, shown)
		}
	}
}

func TestBareEndpointsFollowTheTLSFiles(t *testing.T) {
	if got := (Config{Endpoints: []string{"a:1"}}).urls()[0]; got != "http://a:1" {
		t.Error(got)
	}
	if got := (Config{Endpoints: []string{"a:1"}, CAFile: "ca"}).urls()[0]; got != "https://a:1" {
		t.Error(got)
	}
}
