package lab

import "testing"

func TestFold(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"short\n", "short\n"},
		{"one two three\n", "one two\n    three\n"},
		{"  one two three four five\n", "  one two\n      three\n      four\n      five\n"},
		{"averyverylongword\n", "averyverylongword\n"},
		{"a averyverylongword b\n", "a\n    averyverylongword\n    b\n"},
		{"äöü äöü\näöü äöü äöü\n", "äöü äöü\näöü äöü\n    äöü\n"},
	} {
		if got := fold(c.in, 10); got != c.want {
			t.Errorf("fold(%q): got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}
