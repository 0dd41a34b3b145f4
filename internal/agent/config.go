package agent

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Config is what an agent is started with; everything else comes from the store.
type Config struct {
	Node   string // its name in the store
	RunDir string // sockets, journal, intent; 0700

	IP, IP6          string // "autodetect", "none", or address/length; empty: autodetect, and none if there is none
	Method4, Method6 string // see node.Detect

	LogLevel string
}

// DefaultRunDir is where the sockets are unless told otherwise.
const DefaultRunDir = "/run/tortie"

var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// ConfigFromEnv reads the variables that Calico's node uses: NODENAME, HOSTNAME, IP, IP6, IP_AUTODETECTION_METHOD,
// IP6_AUTODETECTION_METHOD, FELIX_LOGSEVERITYSCREEN; and TORTIE_RUN_DIR.
func ConfigFromEnv(getenv func(string) string) Config {
	first := func(names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	c := Config{
		Node: first("NODENAME", "HOSTNAME"), RunDir: first("TORTIE_RUN_DIR"), IP: getenv("IP"), IP6: getenv("IP6"),
		Method4: getenv("IP_AUTODETECTION_METHOD"), Method6: getenv("IP6_AUTODETECTION_METHOD"),
		LogLevel: getenv("FELIX_LOGSEVERITYSCREEN"),
	}
	if c.Node == "" {
		c.Node, _ = os.Hostname()
	}
	c.Node = strings.ToLower(c.Node)
	if c.RunDir == "" {
		c.RunDir = DefaultRunDir
	}
	return c
}

func (c Config) check() error {
	if !nodeName.MatchString(c.Node) {
		return fmt.Errorf("node name %q: must be 1 to 253 of a-z, 0-9, - and ., as in a DNS name", c.Node)
	}
	if c.RunDir == "" || c.RunDir[0] != '/' {
		return fmt.Errorf("run directory %q: must be an absolute path", c.RunDir)
	}
	if os.Geteuid() != 0 {
		return errors.New("the agent changes the kernel's network: it must run as root")
	}
	return nil
}
