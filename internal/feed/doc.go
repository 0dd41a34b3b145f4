// Package feed makes of list and watch one stream of state.
//
// In: a store and the kinds wanted. Out: batches of model.Update and one InSync, given when the first list is whole.
// Updates may be coalesced and repeated; nil means "does not exist". An object never moves backwards: what is older than
// what was given is dropped (revision memory). When the store is lost the feed keeps what it gave, retries with backoff,
// lists again and gives only differences. A connection whose packets vanish is noticed within 15 s; a quiet, healthy
// watch is left alone. What cannot be read or is invalid is reported as a Problem, with the value that convert made of
// it (a stand-in that closes, or nil).
package feed
