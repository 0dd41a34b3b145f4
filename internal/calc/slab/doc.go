// Package slab keeps hundreds of thousands of small records in little memory.
//
// Of holds records by number: without an object for the garbage collector for each, and without the spare room of a slice
// that grows. Table finds a record's number by what the record is called, without a copy of the name.
package slab
