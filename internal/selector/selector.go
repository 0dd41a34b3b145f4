package selector

// MaxLength is the longest selector text accepted, in bytes (the API's limit, spec/api.md appendix E, is 1024 for one
// field; combined selectors are made of several).
const MaxLength = 8192

// MaxDepth is the deepest nesting of parentheses and negations accepted.
const MaxDepth = 64

// Labels is what a selector is matched against.
type Labels interface {
	// Get returns the value of a label and whether it is there.
	Get(key string) (value string, ok bool)
}

// Map is a plain set of labels.
type Map map[string]string

// Get implements Labels.
func (m Map) Get(key string) (string, bool) { v, ok := m[key]; return v, ok }

// Requirement is a necessary condition of a selector: whatever matches has the label Key and, where Values is not
// nil, one of these values. An index uses it to visit only candidates.
type Requirement struct {
	Key    string
	Values []string
}
