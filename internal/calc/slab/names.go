package slab

import (
	"encoding/binary"
)

// Names numbers names of one or more parts, each kept once, as a copy. Make it with NewNames.
type Names struct {
	hash   Hash
	byText Table
	texts  Of[string] // each part's length as a varint, and the part
}

// NewNames makes an empty one.
func NewNames() Names { return Names{hash: NewHash()} }

// Find returns the number of a name.
func (n *Names) Find(parts ...string) (id uint32, found bool) {
	return n.byText.Find(n.hashOf(parts), func(id uint32) bool { return holds(*n.texts.At(id), parts) })
}

// Add numbers a name that Find does not find.
func (n *Names) Add(parts ...string) uint32 {
	id := n.texts.New()
	var room [128]byte
	text := room[:0]
	for _, p := range parts {
		text = append(binary.AppendUvarint(text, uint64(len(p))), p...)
	}
	*n.texts.At(id) = string(text)
	n.byText.Insert(n.hashOf(parts), id)
	return id
}

// Remove takes a number back.
func (n *Names) Remove(id uint32) {
	var parts []string
	for text := *n.texts.At(id); text != ""; {
		var p string
		p, text = cut(text)
		parts = append(parts, p)
	}
	n.byText.Remove(n.hashOf(parts), id)
	n.texts.Free(id)
}

// Len is how many names there are.
func (n *Names) Len() int { return n.byText.Len() }

func (n *Names) hashOf(parts []string) uint64 {
	var h uint64
	for _, p := range parts {
		h = Join(h, n.hash.String(p))
	}
	return h
}

// holds tells whether a text is that of parts.
func holds(text string, parts []string) bool {
	for _, p := range parts {
		var q string
		if q, text = cut(text); q != p {
			return false
		}
	}
	return text == ""
}

// cut takes the first part off a text that Add made.
func cut(text string) (part, rest string) {
	var room [binary.MaxVarintLen64]byte
	length, n := binary.Uvarint(room[:copy(room[:], text)])
	if end := n + int(length); n > 0 && end <= len(text) {
		return text[n:end], text[end:]
	}
	return text, ""
}
