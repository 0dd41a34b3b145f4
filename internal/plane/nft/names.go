package nft

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/model"
)

const table = "tortie"

// Names of chains and sets are words of nft's language: a letter first, then letters, digits and "/-_.". None begins
// with "cali": a running Felix takes such for its own.

// maxName keeps names readable; the kernel allows 255 bytes.
const maxName = 100

// digest is n hexadecimal digits of a cryptographic hash: names of policies are chosen by users, who must not be able to
// make two different things look the same.
func digest(n int, parts ...string) string {
	b := make([]byte, 0, 1024)
	for _, p := range parts {
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(append(b, ':'), p...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:(n+1)/2])[:n]
}

// word makes text a word of nft's language. What had to be changed or cut is told apart by a hash.
func word(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/-_.", r) {
			return r
		}
		return '_'
	}, text)
	if len(clean) > maxName {
		clean = clean[:maxName]
	}
	if clean != text {
		clean += "-" + digest(10, text)
	}
	return clean
}

func policyChain(dir model.Direction, id string) string { return dir.String() + "/" + word(id) }

func profileChain(dir model.Direction, id string) string {
	return dir.String() + "/" + word("Profile/"+id)
}

// setName is the set of one family and kind that holds members of an intent's set. The leading "s/" keeps it apart from
// the plane's own sets, and from "cali".
func setName(id intent.SetID, k kind) string { return "s/" + word(string(id)) + k.suffix() }

// comment is a rule's: what it is for, the rule's identity if it has one, and the hash by which a restarted agent knows
// that the rule is as wanted. All of it fits what nft prints.
func comment(label string, id intent.RuleID, hash string) string {
	tail := " " + hash
	if id != 0 {
		tail = " " + id.String() + tail
	}
	if room := nftnl.MaxComment - len(tail); len(label) > room {
		label = label[:room-1] + "~"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == 0x7f {
			return '_'
		}
		return r
	}, label) + tail
}
