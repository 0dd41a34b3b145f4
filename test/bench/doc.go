// Command bench prints the budgets of docs/DESIGN.md beside what this machine reaches.
//
// Every figure comes from the real parts: agents as processes in network namespaces, the built-in etcd, the real CNI
// plugin, the kernel's own notifications. Nothing is asserted: a machine that is busy makes figures worse, so the load is
// printed beside them, and whatever can be is a ratio within one run. All that it makes (namespaces, processes, files) is
// its own, and goes when it ends.
package main
