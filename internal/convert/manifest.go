package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/tortie-net/tortie/internal/model"
)

// Manifest is one object that a user wrote.
type Manifest struct {
	Key     model.Key
	Value   any      // as Decode gives it
	Raw     []byte   // JSON of what was written, without unknown fields, scalars in the types of the fields
	Source  string   // where it stands: file name, or what stands for standard input
	Line    int      // of the document's first line
	Unknown []string // paths of fields that the kind has not
}

// maxManifest is the most that ParseManifest reads, in bytes.
const maxManifest = 64 << 20

// ParseManifest reads YAML or JSON: several documents, lists (kind List, or KindList), empty documents. Unknown fields
// are listed, not an error. What can be read is returned also when something else cannot; the error then joins one line
// for each object that is wrong, beginning with source and line.
func ParseManifest(r io.Reader, source string) ([]Manifest, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	if len(text) > maxManifest {
		return nil, fmt.Errorf("%s: is longer than %d MiB", source, maxManifest>>20)
	}
	m := manifestReader{source: source}
	for _, doc := range splitDocuments(text) {
		m.document(doc)
	}
	return m.manifests, errors.Join(m.errs...)
}

// document is a part of a file; line is that of its first byte.
type document struct {
	text []byte
	line int
}

// splitDocuments cuts a file at the YAML document marks "---" and "...".
func splitDocuments(text []byte) []document {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var docs []document
	start, startLine, line := 0, 1, 0
	for at := 0; at < len(text); {
		line++
		next := len(text)
		if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
			next = at + n + 1
		}
		content := bytes.TrimRight(text[at:next], "\r\n")
		if isMark(content) {
			docs = append(docs, document{text[start:at], startLine})
			start, startLine = at+3, line
			if content[0] == '.' {
				start = next
				startLine = line + 1
			}
		}
		at = next
	}
	return append(docs, document{text[start:], startLine})
}

func isMark(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("---")) && !bytes.Equal(line, []byte("...")) {
		return false
	}
	return len(line) == 3 || line[3] == ' ' || line[3] == '\t'
}

// manifestReader gathers what the documents of one source hold.
type manifestReader struct {
	source    string
	manifests []Manifest
	errs      []error
}

func (m *manifestReader) fail(line int, format string, args ...any) {
	m.errs = append(m.errs, fmt.Errorf("%s:%d: %w", m.source, line, fmt.Errorf(format, args...)))
}

// document reads one YAML document, or JSON values one after the other.
func (m *manifestReader) document(doc document) {
	trimmed := bytes.TrimLeft(doc.text, " \t\r\n")
	doc.line += bytes.Count(doc.text[:len(doc.text)-len(trimmed)], []byte("\n"))
	if len(trimmed) == 0 {
		return
	}
	if trimmed[0] == '{' && m.jsonValues(document{trimmed, doc.line}) {
		return
	}
	raw, err := yaml.YAMLToJSONStrict(trimmed)
	if err != nil {
		m.yamlError(doc.line, err)
		return
	}
	tree, err := jsonTree(raw)
	if err != nil {
		m.fail(doc.line, "%w", err)
		return
	}
	if tree != nil { // only comments
		m.tree(tree, doc.line+leadingComments(trimmed), "", "")
	}
}

// leadingComments counts the lines of comments and blanks before the first line of content.
func leadingComments(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			break
		}
		n++
	}
	return n
}

// jsonValues reads JSON values one after the other; false when the text is no such thing.
func (m *manifestReader) jsonValues(doc document) bool {
	type value struct {
		tree any
		line int
	}
	var values []value
	decoder := json.NewDecoder(bytes.NewReader(doc.text))
	decoder.UseNumber()
	for {
		rest := doc.text[decoder.InputOffset():]
		blank := len(rest) - len(bytes.TrimLeft(rest, " \t\r\n"))
		line := doc.line + bytes.Count(doc.text[:int(decoder.InputOffset())+blank], []byte("\n"))
		var tree any
		err := decoder.Decode(&tree)
		if err == io.EOF {
			break
		}
		if err != nil {
			return false
		}
		values = append(values, value{tree, line})
	}
	for _, v := range values {
		m.tree(v.tree, v.line, "", "")
	}
	return true
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlError reports a syntax error at its own line.
func (m *manifestReader) yamlError(line int, err error) {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	if found := yamlLine.FindStringSubmatch(text); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil {
			line += n - 1
			text = strings.Replace(text, found[0], "", 1)
		}
	}
	m.fail(line, "yaml: %s", text)
}

// jsonTree reads JSON into maps, slices and json.Numbers.
func jsonTree(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var tree any
	err := decoder.Decode(&tree)
	return tree, err
}

// tree takes an object or a list of objects. A list of one kind gives its items apiVersion and kind.
func (m *manifestReader) tree(tree any, line int, apiVersion, kind string) {
	fields, ok := tree.(map[string]any)
	if !ok {
		m.fail(line, "must be an object with apiVersion, kind, metadata and spec")
		return
	}
	apiVersion, ok1 := textField(fields, "apiVersion", apiVersion)
	kind, ok2 := textField(fields, "kind", kind)
	if !ok1 || !ok2 {
		m.fail(line, "apiVersion and kind must be text")
		return
	}
	if items, isList := fields["items"].([]any); strings.HasSuffix(kind, "List") && (isList || fields["items"] == nil) {
		itemVersion, itemKind := apiVersion, strings.TrimSuffix(kind, "List")
		if itemKind == "" {
			itemVersion = ""
		}
		for _, item := range items {
			m.tree(item, line, itemVersion, itemKind)
		}
		return
	}
	switch {
	case kind == "":
		m.fail(line, "kind is missing")
		return
	case apiVersion == "":
		m.fail(line, "apiVersion is missing: %s", versionsOf(kind))
		return
	}
	info, ok := ByGVK(apiVersion, kind)
	if !ok {
		m.fail(line, "kind %q of %q is not known: %s", shorten(kind), shorten(apiVersion), versionsOf(kind))
		return
	}
	fields["apiVersion"], fields["kind"] = apiVersion, kind
	m.object(fields, info, line)
}

// textField is a text of an object, or the default when it is missing.
func textField(fields map[string]any, name, missing string) (string, bool) {
	v, ok := fields[name]
	if !ok || v == nil {
		return missing, true
	}
	text, ok := v.(string)
	return text, ok
}

// versionsOf says which apiVersion a kind has, or which kinds there are.
func versionsOf(kind string) string {
	var versions, kinds []string
	for _, info := range Kinds() {
		if strings.EqualFold(info.wireKind(), kind) {
			versions = append(versions, info.APIVersion+" "+info.wireKind())
		}
		kinds = append(kinds, info.wireKind())
	}
	if len(versions) > 0 {
		return oneOf(versions...)
	}
	return oneOf(kinds...)
}

func (m *manifestReader) object(fields map[string]any, info KindInfo, line int) {
	metadata, _ := fields["metadata"].(map[string]any)
	name, isText := textField(metadata, "name", "")
	namespace, isText2 := textField(metadata, "namespace", "")
	switch kind := strings.ToLower(info.wireKind()); {
	case !isText || !isText2:
		m.fail(line, "%s: metadata.name and namespace must be text: put y, n, on, off and numbers in quotes", kind)
		return
	case name == "":
		m.fail(line, "%s: metadata.name is missing", kind)
		return
	}
	key := model.Key{Kind: info.Kind, Namespace: namespace, Name: name}
	c := conformer{problems: problems{key: key}}
	tree := c.object(fields, info)
	if err := c.err(); err != nil {
		m.fail(line, "%w", err)
		return
	}
	raw, err := json.Marshal(tree)
	if err != nil {
		m.fail(line, "%s: %w", subject(key), err)
		return
	}
	value, err := Decode(key, raw)
	if err != nil {
		m.fail(line, "%w", err)
		return
	}
	m.manifests = append(m.manifests, Manifest{Key: key, Value: value, Raw: raw, Source: m.source, Line: line, Unknown: c.unknown})
}

// shorten keeps what a message repeats of the input short.
func shorten(text string) string {
	if len(text) > maxShown {
		return strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}
