// Package etcd keeps objects in etcd v3, in Calico's stored forms.
//
// Keys are those of spec/store-layout.md §1.1, §1.5 and §1.6, so that Calico's nodes and tools see the same objects; core
// Kubernetes objects lie beside them under /tortie/v1/kubernetes/. Values are made and read by the Codec. A revision is
// etcd's ModRevision. A list is read in pages of 1,000 keys, all at the revision of the first. A watch is one stream; it
// ends with ErrUnavailable as soon as its connection does, and never resumes by itself: the feed decides.
// Every call ends within 5 s and says so; a dead connection is noticed within 15 s; user name, password and key
// material appear in no message.
package etcd
