// Package etcd keeps objects in etcd v3, in Calico's stored forms.
package etcd
