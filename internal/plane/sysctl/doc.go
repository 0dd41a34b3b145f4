// Package sysctl is the plane for kernel settings.
package sysctl
