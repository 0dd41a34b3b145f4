// Command fields writes what is known of each field of each kind of api/v3: docs/fields.md for people, api/v3/zz_fields.go
// for programs. Run it from the root of the repository: go run ./internal/gen/fields
//
// In: the Go types, walked by reflection; fields.txt, kept by hand; the names of the tests in the repository.
// Out: the two files, or every mistake in the list at once: a field in no line, a line without a field, a line given
// twice, a test that does not exist. The test of this package fails for the same reasons, and if a file is out of date.
package main
