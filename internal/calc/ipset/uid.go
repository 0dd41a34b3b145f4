package ipset

import (
	"crypto/sha256"
	"encoding/hex"
)

// UID is a pod's UID in sixteen bytes, to be compared only: the UUID that it is or, of any other text, a part of its
// SHA-256. Zero: there is none.
type UID [16]byte

// MakeUID is the UID with a text.
func MakeUID(text string) UID {
	if text == "" {
		return UID{}
	}
	if u, ok := ParseUUID(text); ok && u != (UID{}) {
		return u
	}
	sum := sha256.Sum256([]byte(text))
	return UID(sum[:16])
}

// ParseUUID reads the text form of RFC 9562 §4, in small letters only, so that UUID gives back the same text.
func ParseUUID(text string) (u UID, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return UID{}, false
	}
	var digits [32]byte
	copy(digits[:], text[:8])
	copy(digits[8:], text[9:13])
	copy(digits[12:], text[14:18])
	copy(digits[16:], text[19:23])
	copy(digits[20:], text[24:])
	for _, c := range digits {
		if 'A' <= c && c <= 'F' {
			return UID{}, false
		}
	}
	_, err := hex.Decode(u[:], digits[:])
	return u, err == nil
}

// UUID is the text that ParseUUID read.
func (u UID) UUID() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
