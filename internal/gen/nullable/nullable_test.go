package main

import (
	"strings"
	"testing"
)

const list = `              allocations:
                description: |-
                  First line.
                  Second line.
                items:
                  type: integer
                type: array
`

func TestElementsBecomeNullable(t *testing.T) {
	got, err := patch([]byte("a: b\n"+list), "allocations")
	if err != nil {
		t.Fatal(err)
	}
	want := "a: b\n" + strings.Replace(list, "items:\n", "items:\n                  nullable: true\n", 1)
	if string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for name, text := range map[string]string{"none": "a: b\n", "two": list + list, "done": string(got)} {
		if _, err := patch([]byte(text), "allocations"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
