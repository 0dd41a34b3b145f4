package store

import "github.com/tortie-net/tortie/internal/model"

// Codec makes stored bytes of values, and values of stored bytes. Both must be safe for concurrent use, and must not
// keep what they are given.
type Codec interface {
	Encode(model.Key, any) ([]byte, error)
	Decode(model.Key, []byte) (any, error)
}

// leanCodec is a Codec that can leave out what followers of a list never look at.
type leanCodec interface {
	DecodeLean(model.Key, []byte) (any, error)
}

// Lean is how the objects of ListPages are decoded: without what followers never look at, where the codec can.
func Lean(c Codec) func(model.Key, []byte) (any, error) {
	if l, ok := c.(leanCodec); ok {
		return l.DecodeLean
	}
	return c.Decode
}

// Functions is the Codec of two functions, like those of package convert.
func Functions(encode func(model.Key, any) ([]byte, error), decode func(model.Key, []byte) (any, error)) Codec {
	return functions{encode, decode}
}

type functions struct {
	encode func(model.Key, any) ([]byte, error)
	decode func(model.Key, []byte) (any, error)
}

func (f functions) Encode(key model.Key, value any) ([]byte, error) { return f.encode(key, value) }
func (f functions) Decode(key model.Key, raw []byte) (any, error)   { return f.decode(key, raw) }
