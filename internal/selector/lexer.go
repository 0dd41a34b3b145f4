package selector

import (
	"fmt"
	"strings"
)

// SyntaxError says why a text is no selector.
type SyntaxError struct {
	Text string // the whole text
	Pos  int    // offset of the offending byte, len(Text) at the end
	Msg  string // what was found and what is allowed
}

func (e *SyntaxError) Error() string {
	const shown = 256 // bytes of a text that an error repeats
	text := e.Text
	if len(text) > shown {
		text = text[:shown] + "…"
	}
	return fmt.Sprintf("selector %q: at byte %d: %s", text, e.Pos, e.Msg)
}

// tokenKind tells tokens apart.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenString
	tokenSymbol // == != && || ! ( ) { } ,
)

// token is one word, string or symbol of a text.
type token struct {
	kind tokenKind
	text string // of a string: without its quotes
	pos  int
}

func (t token) is(symbol string) bool { return t.kind == tokenSymbol && t.text == symbol }

func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenString:
		return "a string"
	}
	return fmt.Sprintf("%q", t.text)
}

// lexer cuts a text into tokens. White space separates words and has no other meaning.
type lexer struct {
	text string
	pos  int
}

// symbols, the longer ones first.
var symbols = [...]string{"==", "!=", "&&", "||", "!", "(", ")", "{", "}", ","}

func (l *lexer) next() (token, error) {
	for l.pos < len(l.text) && strings.IndexByte(" \t\r\n", l.text[l.pos]) >= 0 {
		l.pos++
	}
	start, rest := l.pos, l.text[l.pos:]
	if rest == "" {
		return token{pos: start}, nil
	}
	if isWord(rest[0]) {
		end := 1
		for end < len(rest) && isWord(rest[end]) {
			end++
		}
		l.pos += end
		return token{tokenWord, rest[:end], start}, nil
	}
	if quote := rest[0]; quote == '\'' || quote == '"' {
		length := strings.IndexByte(rest[1:], quote)
		if length < 0 {
			return token{}, &SyntaxError{l.text, start, fmt.Sprintf("string has no closing %c", quote)}
		}
		l.pos += length + 2
		return token{tokenString, rest[1 : 1+length], start}, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(rest, s) {
			l.pos += len(s)
			return token{tokenSymbol, s, start}, nil
		}
	}
	return token{}, &SyntaxError{l.text, start, fmt.Sprintf("%q is no part of the selector language", firstRune(rest))}
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

// isWord tells whether a byte may be part of a label key (R60); keywords are words too.
func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '/' || c == '-'
}
