// Package gobgp is a bgp.Speaker on the server of github.com/osrg/gobgp, which runs in this process.
//
// The server holds the sessions and the table. This package gives it peers and own prefixes as differences from what it
// has, so that a session that does not change is left alone, and reads best paths from its table when it says that they
// changed. A session carries the family of its address. Sessions start once the first Advertise has said what there is to
// announce, or after a moment without one: an End-of-RIB that came ahead of the prefixes would take from the peers what
// they kept for us across a restart.
package gobgp
