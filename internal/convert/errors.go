package convert

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
)

// ErrInvalid is what every *InvalidError unwraps to.
var ErrInvalid = errors.New("invalid")

// FieldError is one field that is wrong.
type FieldError struct {
	Path   string // "spec.ingress[0].source.ports[1]"; empty for the whole object
	Value  string // as the user wrote it; empty when it is missing, or when the reason names it
	Reason string // "must be 20 to 32"
}

// String is "spec.blockSize: 33: must be 20 to 32".
func (e FieldError) String() string {
	s := e.Reason
	if e.Value != "" {
		s = e.Value + ": " + s
	}
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	return s
}

// InvalidError is all that is wrong with an object. Test with errors.Is(err, ErrInvalid).
type InvalidError struct {
	Key    model.Key
	Fields []FieldError
}

// Error is one line: `ippool "a": spec.blockSize: 33: must be 20 to 32`. Several fields are parted by semicolons.
func (e *InvalidError) Error() string {
	return subject(e.Key) + ": " + e.Reason()
}

// Reason is the line without the object's name.
func (e *InvalidError) Reason() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.String()
	}
	return strings.Join(parts, "; ")
}

// Unwrap makes it an ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// subject names an object in messages: its kind in lower case, and its quoted name, with the namespace where it has one.
func subject(key model.Key) string {
	name := key.Name
	if key.Namespace != "" {
		name = key.Namespace + "/" + name
	}
	return fmt.Sprintf("%s %q", strings.ToLower(string(key.Kind)), name)
}

// maxShown is how much of a wrong value a message repeats, in bytes.
const maxShown = 80

// problems collects what is wrong with one object. Strict is what a writer is held to; without it only what has no
// sound meaning is a problem, so that objects written under older, laxer rules keep working.
type problems struct {
	key    model.Key
	strict bool
	fields []FieldError
}

// add notes a wrong field. The value is shown shortened.
func (p *problems) add(path string, value any, reason string, args ...any) {
	var shown string
	switch v := value.(type) {
	case nil:
	case string:
		shown = v
		if v == "" {
			shown = `""`
		}
	default:
		shown = fmt.Sprint(v)
	}
	if len(shown) > maxShown {
		shown = strings.ToValidUTF8(shown[:maxShown], "") + "…"
	}
	p.fields = append(p.fields, FieldError{Path: path, Value: shown, Reason: fmt.Sprintf(reason, args...)})
}

// strictly notes a wrong field that only a writer is held to.
func (p *problems) strictly(path string, value any, reason string, args ...any) {
	if p.strict {
		p.add(path, value, reason, args...)
	}
}

// err is the problems as an error, nil when there are none. A field that two rules find wrong is named once for each
// reason.
func (p *problems) err() error {
	if len(p.fields) == 0 {
		return nil
	}
	seen := make(map[FieldError]bool, len(p.fields))
	var fields []FieldError
	for _, f := range p.fields {
		if !seen[f] {
			seen[f] = true
			fields = append(fields, f)
		}
	}
	return &InvalidError{Key: p.key, Fields: fields}
}

// index is "path[i]".
func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// oneOf lists allowed words: "must be A, B or C".
func oneOf(words ...string) string {
	switch len(words) {
	case 1:
		return "must be " + words[0]
	default:
		return "must be " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	}
}
