package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/tortie-net/tortie/internal/model"
)

// object is what every resource and Kubernetes object is.
type object interface {
	metav1.Object
	runtime.Object
}

// Decode reads a stored value: a resource or Kubernetes object in its JSON form, or what IPAM keeps in its etcd form.
// The result is a pointer to the kind's type (KindInfo.New), or to model.Block, Affinity, Handle, IPAMConfig.
// Fields that it does not know are passed over. The error names the object.
func Decode(key model.Key, raw []byte) (any, error) {
	value, err := decode(key, raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", subject(key), err)
	}
	return value, nil
}

func decode(key model.Key, raw []byte) (any, error) {
	switch key.Kind {
	case model.KindBlock:
		return some(decodeBlock(raw))
	case model.KindAffinity:
		return some(decodeAffinity(key, raw))
	case model.KindHandle:
		return some(decodeHandle(key, raw))
	case model.KindIPAMConfig:
		return some(decodeIPAMConfig(raw))
	}
	info, ok := registry.byKind[key.Kind]
	if !ok {
		return nil, errors.New("the kind is not known")
	}
	value := info.New()
	if err := strictJSON(raw, value); err != nil {
		return nil, err
	}
	return value, nil
}

// some keeps a nil pointer from becoming an any that is not nil.
func some[T any](value *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Encode is the stored form of a value that Decode gives: compact JSON, kind and apiVersion set, resourceVersion,
// selfLink and managedFields left out. The value is not changed.
func Encode(key model.Key, value any) ([]byte, error) {
	raw, err := encode(key, value)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", subject(key), err)
	}
	return raw, nil
}

func encode(key model.Key, value any) ([]byte, error) {
	switch v := value.(type) {
	case *model.Block:
		return encodeBlock(v)
	case *model.Affinity:
		return compactJSON(affinityJSON{State: v.State, Deleted: v.Deleted})
	case *model.Handle:
		return encodeHandle(v)
	case *model.IPAMConfig:
		return encodeIPAMConfig(v)
	}
	info, ok := registry.byKind[key.Kind]
	if !ok {
		return nil, errors.New("the kind is not known")
	}
	if want := reflect.TypeOf(info.New()); reflect.TypeOf(value) != want || reflect.ValueOf(value).IsNil() {
		return nil, fmt.Errorf("is a %T: must be %s, not nil", value, want)
	}
	stored := shallowCopy(value.(object))
	stored.GetObjectKind().SetGroupVersionKind(schema.FromAPIVersionAndKind(info.APIVersion, info.wireKind()))
	stored.SetResourceVersion("")
	stored.SetSelfLink("")
	stored.SetManagedFields(nil)
	return json.Marshal(stored)
}

// shallowCopy copies the struct that an object points to, so that its own metadata fields can be set.
func shallowCopy(o object) object {
	c := reflect.New(reflect.TypeOf(o).Elem())
	c.Elem().Set(reflect.ValueOf(o).Elem())
	return c.Interface().(object)
}
