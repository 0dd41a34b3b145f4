// Package test holds the tests of the whole: scripts that build labs, apply objects and look at real packets, as users
// would. Each script under testdata/script is one file with its input, its commands and what they must print.
package test
