package cli

import "regexp"

// volatile is what differs between two runs of the same script.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "GUID"},
	{regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`(?m)(resourceVersion: |"resourceVersion": |revision )"?\d+"?`), "${1}N"},
	{regexp.MustCompile(`/\S*/query\.sock`), "SOCKET"},
	{regexp.MustCompile(`(?m) \d+s( |$)`), " AGE$1"},
}
