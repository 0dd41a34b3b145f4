// Package config resolves settings: environment over file over node over selector over default, into typed values.
//
// Pure. A value that cannot be used is reported with its source, what it is and what is allowed, and the next source
// counts instead. The parameters are those of docs/configuration.md, named as Calico names them.
package config
