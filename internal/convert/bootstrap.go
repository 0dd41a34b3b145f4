package convert

import (
	"encoding/hex"

	"github.com/google/uuid"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// Codec is Encode and Decode as the stores want them.
type Codec struct{}

// Encode is the function Encode.
func (Codec) Encode(key model.Key, value any) ([]byte, error) { return Encode(key, value) }

// Decode is the function Decode.
func (Codec) Decode(key model.Key, raw []byte) (any, error) { return Decode(key, raw) }

// DecodeLean is the function DecodeLean.
func (Codec) DecodeLean(key model.Key, raw []byte) (any, error) { return DecodeLean(key, raw) }

// Initial is an object that the first client of an empty store creates.
type Initial struct {
	Key   model.Key
	Value any
}

// Bootstrap returns the objects that every store must hold: the cluster's identity and the built-in tiers (R29,
// store-layout §1.2). Each call gives the cluster a new identity; it counts only where there is none yet.
func Bootstrap() ([]Initial, error) {
	id := uuid.New()
	info := &v3.ClusterInformation{}
	info.Name = "default"
	ready := true
	info.Spec.DatastoreReady = &ready
	info.Spec.ClusterGUID = hex.EncodeToString(id[:])
	out := []Initial{{model.Key{Kind: model.KindClusterInformation, Name: "default"}, info}}
	for _, t := range []struct {
		name   string
		order  float64
		action v3.Action
	}{
		{model.TierDefault, 1000000, v3.Deny},
		{model.TierKubeAdmin, 1000, v3.Pass},
		{model.TierKubeBaseline, 10000000, v3.Pass},
	} {
		tier := &v3.Tier{}
		tier.Name = t.name
		tier.Spec.Order = &t.order
		tier.Spec.DefaultAction = &t.action
		out = append(out, Initial{model.Key{Kind: model.KindTier, Name: t.name}, tier})
	}
	for i := range out {
		var err error
		if out[i].Value, _, err = Prepare(out[i].Key, out[i].Value, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}
