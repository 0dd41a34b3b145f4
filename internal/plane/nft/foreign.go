package nft

// ForwardDrops names the chains of others that drop what they do not know on its way through the node, as Docker and
// firewalls make them: they drop workloads' packets whatever Tortie's table accepts. They are never touched.
func (p *Plane) ForwardDrops() ([]string, error) {
	chains, err := p.conn.ForwardDrops(table)
	var names []string
	for _, c := range chains {
		names = append(names, c.String())
	}
	return names, err
}
