// Package nftnl speaks nf_tables over netlink, for one network namespace: a Batch is one atomic transaction, sent as one
// datagram; dumps read back what is there; a Watch tells who else touched a table.
//
// Only the last message of a batch asks for an acknowledgement: the kernel answers each message that fails, and its
// sequence number says which object and operation that was. Nothing here decides anything; names are the kernel's.
// A Conn belongs to one goroutine, a Watch to another.
package nftnl
