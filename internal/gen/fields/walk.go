package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	v3 "github.com/tortie-net/tortie/api/v3"
)

// paths returns the path of every leaf of a kind: "spec.ingress[].source.nets[]". A list is marked by [], a map by {}.
// A leaf is a scalar, or a type that encodes itself. Metadata and status are not walked: they are not the user's to set.
func paths(kind v3.Registration) []string {
	var out []string
	object := reflect.TypeOf(kind.Object).Elem()
	for i := range object.NumField() {
		if field := object.Field(i); jsonName(field) == "spec" {
			walk(field.Type, "spec", &out)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func walk(t reflect.Type, at string, out *[]string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if encodesItself(t) {
		*out = append(*out, at)
		return
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		walk(t.Elem(), at+"[]", out)
	case reflect.Map:
		walk(t.Elem(), at+"{}", out)
	case reflect.Struct:
		walkFields(t, at, out)
	default:
		*out = append(*out, at)
	}
}

func walkFields(t reflect.Type, at string, out *[]string) {
	before := len(*out)
	for i := range t.NumField() {
		field := t.Field(i)
		switch name := jsonName(field); {
		case name == "-":
		case name == "" && field.Anonymous:
			walkFields(field.Type, at, out)
		default:
			walk(field.Type, at+"."+name, out)
		}
	}
	if len(*out) == before {
		*out = append(*out, at) // an object without fields is itself what a user sets
	}
}

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	if name == "" && !field.Anonymous {
		return field.Name
	}
	return name
}

func encodesItself(t reflect.Type) bool {
	marshaler := reflect.TypeFor[json.Marshaler]()
	return t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)
}
