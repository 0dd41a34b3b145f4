package selector

// Selector is a parsed selector. The zero value and nil match nothing that anybody should rely on; use Parse or All.
type Selector struct{ text string }
