package v3

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// definition is as much of a CustomResourceDefinition as these tests look at.
type definition struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Kind       string   `json:"kind"`
			ListKind   string   `json:"listKind"`
			Plural     string   `json:"plural"`
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
		Scope    string    `json:"scope"`
		Versions []version `json:"versions"`
	} `json:"spec"`
}

type version struct {
	Name             string              `json:"name"`
	Served           bool                `json:"served"`
	Storage          bool                `json:"storage"`
	Subresources     map[string]any      `json:"subresources"`
	SelectableFields []map[string]string `json:"selectableFields"`
	Schema           struct {
		OpenAPIV3Schema *jsonSchema `json:"openAPIV3Schema"`
	} `json:"schema"`
}

type jsonSchema struct {
	Type                 string                 `json:"type"`
	IntOrString          bool                   `json:"x-kubernetes-int-or-string"`
	Nullable             bool                   `json:"nullable"`
	Description          string                 `json:"description"`
	Properties           map[string]*jsonSchema `json:"properties"`
	Items                *jsonSchema            `json:"items"`
	AdditionalProperties *jsonSchema            `json:"additionalProperties"`
	Validations          []struct {
		Rule    string `json:"rule"`
		Message string `json:"message"`
	} `json:"x-kubernetes-validations"`
}

func TestCRDsNameEveryKind(t *testing.T) {
	definitions := readDefinitions(t)
	for _, kind := range Kinds() {
		d, ok := definitions[kind.Kind]
		if ok != kind.CRD {
			t.Errorf("%s: CRD present %v, want %v", kind.Kind, ok, kind.CRD)
		}
		if !ok {
			continue
		}
		delete(definitions, kind.Kind)
		scope := map[bool]string{false: "Cluster", true: "Namespaced"}[kind.Namespaced]
		got := []string{d.APIVersion, d.Kind, d.Metadata.Name, d.Spec.Group, d.Spec.Names.ListKind, d.Spec.Names.Plural, d.Spec.Scope}
		want := []string{"apiextensions.k8s.io/v1", "CustomResourceDefinition", kind.Plural + ".projectcalico.org", "projectcalico.org",
			kind.Kind + "List", kind.Plural, scope}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind.Kind, diff)
		}
		if len(d.Spec.Versions) != 1 {
			t.Errorf("%s: %d versions, want 1", kind.Kind, len(d.Spec.Versions))
			continue
		}
		if v := d.Spec.Versions[0]; v.Name != "v3" || !v.Served || !v.Storage {
			t.Errorf("%s: version %s, served %v, stored %v", kind.Kind, v.Name, v.Served, v.Storage)
		}
	}
	for kind := range definitions {
		t.Errorf("crds holds %s, which is no kind of this package", kind)
	}
}

// TestCRDsMatchTypes holds each schema against its Go type, field by field: a CRD that was not generated again after a
// change would make an API server drop what it does not know.
func TestCRDsMatchTypes(t *testing.T) {
	definitions := readDefinitions(t)
	for _, kind := range Kinds() {
		d, ok := definitions[kind.Kind]
		if !ok {
			continue
		}
		root := d.Spec.Versions[0].Schema.OpenAPIV3Schema
		object := reflect.TypeOf(kind.Object).Elem()
		for _, part := range []string{"Spec", "Status"} {
			field, ok := object.FieldByName(part)
			schema := root.Properties[strings.ToLower(part)]
			if ok != (schema != nil) {
				t.Errorf("%s: %s in the type %v, in the schema %v", kind.Kind, part, ok, schema != nil)
			}
			if ok && schema != nil {
				matchType(t, kind.Kind+"."+strings.ToLower(part), field.Type, schema)
			}
			if _, sub := d.Spec.Versions[0].Subresources["status"]; part == "Status" && ok && !sub {
				t.Errorf("%s has a status, but no status subresource", kind.Kind)
			}
		}
	}
}

func matchType(t *testing.T, at string, typ reflect.Type, schema *jsonSchema) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ == reflect.TypeFor[Port]():
		if !schema.IntOrString {
			t.Errorf("%s: want a number or a string", at)
		}
	case typ.Kind() == reflect.Struct && len(schema.Properties) > 0:
		fields := map[string]reflect.Type{}
		collect(typ, fields)
		for name, field := range fields {
			if schema.Properties[name] == nil {
				t.Errorf("%s.%s is in the type only", at, name)
				continue
			}
			matchType(t, at+"."+name, field, schema.Properties[name])
		}
		for name := range schema.Properties {
			if fields[name] == nil {
				t.Errorf("%s.%s is in the schema only", at, name)
			}
		}
	case typ.Kind() == reflect.Slice:
		if schema.Type != "array" {
			t.Errorf("%s: type %q, want array", at, schema.Type)
		} else {
			if null := typ.Elem().Kind() == reflect.Pointer; null != schema.Items.Nullable {
				t.Errorf("%s: elements may be null in the type %v, in the schema %v", at, null, schema.Items.Nullable)
			}
			matchType(t, at+"[]", typ.Elem(), schema.Items)
		}
	case typ.Kind() == reflect.Map:
		if schema.AdditionalProperties == nil {
			t.Errorf("%s: no additionalProperties", at)
		} else {
			matchType(t, at+"{}", typ.Elem(), schema.AdditionalProperties)
		}
	default:
		want := map[reflect.Kind]string{
			reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number",
			reflect.Int: "integer", reflect.Int32: "integer", reflect.Int64: "integer",
			reflect.Uint8: "integer", reflect.Uint16: "integer", reflect.Uint32: "integer",
			reflect.Struct: "string", // durations and times encode themselves so
		}[typ.Kind()]
		if schema.Type != want {
			t.Errorf("%s: type %q, want %q", at, schema.Type, want)
		}
	}
}

func collect(typ reflect.Type, into map[string]reflect.Type) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" && field.Anonymous {
			collect(field.Type, into)
			continue
		}
		into[name] = field.Type
	}
}

// TestRulesAreReadable looks at what a user sees when an object is refused. gofmt turns two apostrophes in a comment into
// a typographic quote, which breaks a rule written there.
func TestRulesAreReadable(t *testing.T) {
	rules := 0
	for kind, d := range readDefinitions(t) {
		var visit func(at string, s *jsonSchema)
		visit = func(at string, s *jsonSchema) {
			for _, v := range s.Validations {
				rules++
				if v.Message == "" || strings.ContainsFunc(v.Message+v.Rule, func(r rune) bool { return r > unicode.MaxASCII }) {
					t.Errorf("%s: rule %q, message %q: want a message, and ASCII in both", at, v.Rule, v.Message)
				}
			}
			for name, p := range s.Properties {
				if p.Description == "" && at != kind {
					t.Errorf("%s.%s has no description", at, name)
				}
				visit(at+"."+name, p)
			}
			if s.Items != nil {
				visit(at+"[]", s.Items)
			}
		}
		visit(kind, d.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
	if rules < 60 {
		t.Errorf("%d rules in all CRDs, want at least 60", rules)
	}
}

func TestPoliciesAreFoundByTier(t *testing.T) {
	definitions := readDefinitions(t)
	for _, kind := range []string{"NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"} {
		want := []map[string]string{{"jsonPath": ".spec.tier"}}
		if diff := cmp.Diff(want, definitions[kind].Spec.Versions[0].SelectableFields); diff != "" {
			t.Errorf("%s: selectable fields (-want +got):\n%s", kind, diff)
		}
	}
}

func TestSchemeKnowsEveryKind(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds() {
		for _, name := range []string{kind.Kind, kind.Kind + "List"} {
			object, err := scheme.New(GroupVersion.WithKind(name))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if got := reflect.TypeOf(object).Elem().Name(); got != name {
				t.Errorf("%s is made as %s", name, got)
			}
		}
	}
	if !slices.IsSortedFunc(Kinds(), func(a, b Registration) int { return strings.Compare(a.Kind, b.Kind) }) {
		t.Error("Kinds is not ordered by name")
	}
}

func readDefinitions(t *testing.T) map[string]definition {
	t.Helper()
	names, err := filepath.Glob("crds/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no CRDs in crds: %v", err)
	}
	definitions := map[string]definition{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var d definition
		if err := yaml.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(d.Spec.Versions) != 1 || d.Spec.Versions[0].Schema.OpenAPIV3Schema == nil {
			t.Fatalf("%s: no schema", name)
		}
		definitions[d.Spec.Names.Kind] = d
	}
	return definitions
}
