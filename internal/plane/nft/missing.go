package nft

import "github.com/tortie-net/tortie/internal/kernel/nftnl"

// Missing tells whether the kernel has no table of Tortie's, as after a boot.
func (p *Plane) Missing() (bool, error) {
	state, err := p.conn.Table(nftnl.Inet, table)
	return err == nil && (!state.Exists || state.Dormant), err
}
