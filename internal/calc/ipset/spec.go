package ipset

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// Spec says what a set stands for: the addresses of the items that match Selector; with Port, their ports of that name
// (R81), of one protocol or, with 0, of any (R82); or, with Service, its ready endpoints (R70). Type is the shape.
type Spec struct {
	Type     intent.SetType
	Selector *selector.Selector
	Port     string
	Protocol uint8
	Service  model.ServiceRef
}

var setAlphabet = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// ID names the set: "s-" for a selector, "p-" for a named port, "v-" and "w-" for a service's addresses and ports, then
// 100 bits of a SHA-256 of all that the spec says. A tenant who chooses selectors cannot find one whose set is another's.
func (s Spec) ID() intent.SetID {
	prefix, text := "s-", ""
	switch {
	case s.Service != model.ServiceRef{} && s.Type == intent.SetAddrs:
		prefix, text = "v-", s.Service.Namespace+"/"+s.Service.Name
	case s.Service != model.ServiceRef{}:
		prefix, text = "w-", s.Service.Namespace+"/"+s.Service.Name
	case s.Port != "":
		prefix, text = "p-", fmt.Sprintf("%d %q %s", s.Protocol, s.Port, s.Selector)
	default:
		text = s.Selector.String()
	}
	sum := sha256.Sum256([]byte(prefix + text))
	return intent.SetID(prefix + setAlphabet.EncodeToString(sum[:13])[:20])
}

// String is what the set stands for, for people.
func (s Spec) String() string {
	switch {
	case s.Service != model.ServiceRef{}:
		return "service " + s.Service.Namespace + "/" + s.Service.Name
	case s.Port != "" && s.Protocol != 0:
		return fmt.Sprintf("port %s (%s) of %s", s.Port, protocolName(s.Protocol), s.Selector)
	case s.Port != "":
		return fmt.Sprintf("port %s of %s", s.Port, s.Selector)
	}
	return s.Selector.String()
}

func protocolName(number uint8) string {
	switch number {
	case model.ProtoTCP:
		return "TCP"
	case model.ProtoUDP:
		return "UDP"
	case model.ProtoSCTP:
		return "SCTP"
	}
	return strings.TrimSpace(fmt.Sprint(number))
}

// wants tells whether a port of an item is one that the spec names.
func (s Spec) wants(p model.NamedPort) bool {
	return p.Name == s.Port && (s.Protocol == 0 || s.Protocol == p.Protocol)
}
