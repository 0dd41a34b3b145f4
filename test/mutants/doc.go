// Command mutants plants faults, one at a time, and runs the tests that must notice them: `go run ./test/mutants`, from the
// root of the repository, or `make mutants`.
//
// A fault is a piece of source and what to put in its place; it is handed to the compiler as an overlay, so that no file is
// ever changed. The command prints a table and ends with status 1 if a fault survives, if it does not compile, or if its
// piece of source is no longer there exactly once: then the table must follow the code.
package main
