package nftnl

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// BaseChain is somebody's base chain.
type BaseChain struct {
	Family uint8 // NFPROTO_…
	Table  string
	Name   string
}

var familyNames = map[uint8]string{unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6"}

// String is as nft names it: "ip filter FORWARD".
func (c BaseChain) String() string { return familyNames[c.Family] + " " + c.Table + " " + c.Name }

// ForwardDrops reads the base chains at the forward hook, of every table but one, whose policy is to drop: a packet that
// none of their rules accepts is lost, whatever the other tables say.
func (c *Conn) ForwardDrops(except string) ([]BaseChain, error) {
	var out []BaseChain
	err := c.dump(unix.NFT_MSG_GETCHAIN, unix.AF_UNSPEC, nil,
		func() { out = nil },
		func(m message) {
			if len(m.raw) < familyHeader {
				return
			}
			chain := BaseChain{Family: m.raw[0]}
			forward, drops := false, false
			for typ, data := range attrs(m.body()) {
				switch typ {
				case unix.NFTA_CHAIN_TABLE:
					chain.Table = attrString(data)
				case unix.NFTA_CHAIN_NAME:
					chain.Name = attrString(data)
				case unix.NFTA_CHAIN_POLICY:
					drops = VerdictCode(attrU32(data)) == Drop
				case unix.NFTA_CHAIN_HOOK:
					forward = Hook(attrU32(attr(data, unix.NFTA_HOOK_HOOKNUM))) == HookForward
				}
			}
			if _, routed := familyNames[chain.Family]; routed && forward && drops && chain.Table != except {
				out = append(out, chain)
			}
		})
	if err != nil {
		return nil, fmt.Errorf("read base chains: %w", err)
	}
	return out, nil
}
