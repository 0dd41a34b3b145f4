// Package link is the plane for host sides of workload interfaces and tunnel devices.
package link
