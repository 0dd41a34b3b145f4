// Package cli is the command line: verbs over a store, and explain, which runs the engine on a snapshot of it.
//
// It reads and writes objects as an API server would (convert.Prepare, references, optimistic lock) through store alone,
// asks the agent of this node through its query socket, and never touches the kernel. Whatever is wrong with one object
// is said of that object, on one line of standard error, and does not stop the others; values that cannot be read are
// shown as such. A wrong command line reaches no store.
//
// Exit codes: 0 done, 1 refused or failed, 2 wrong command line, 3 not found, 4 the store or the agent does not answer,
// 5 denied (explain --exit-code).
package cli
