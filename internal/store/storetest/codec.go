package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tortie-net/tortie/internal/model"
)

// Thing is the value of every kind that IPAM does not keep.
type Thing struct {
	Text   string            `json:"text"`
	Labels map[string]string `json:"labels,omitempty"`
}

// Codec is plain JSON: of the model types for what IPAM keeps, of Thing for the rest. Unknown fields are an error, so
// that a value stored under the wrong kind is noticed.
type Codec struct{}

// Encode makes JSON of a value of its kind's type.
func (Codec) Encode(key model.Key, value any) ([]byte, error) {
	want := fmt.Sprintf("%T", blank(key.Kind))
	if got := fmt.Sprintf("%T", value); got != want {
		return nil, fmt.Errorf("a %s must be a %s, not a %s", key.Kind, want, got)
	}
	return json.Marshal(value)
}

// Decode is the way back.
func (Codec) Decode(key model.Key, raw []byte) (any, error) {
	value := blank(key.Kind)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return nil, err
	}
	return value, nil
}

func blank(kind model.Kind) any {
	switch kind {
	case model.KindBlock:
		return new(model.Block)
	case model.KindAffinity:
		return new(model.Affinity)
	case model.KindHandle:
		return new(model.Handle)
	case model.KindIPAMConfig:
		return new(model.IPAMConfig)
	}
	return new(Thing)
}
