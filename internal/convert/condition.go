package convert

import (
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tortie-net/tortie/api/v3"
)

// ConditionHonoured is the type of the condition that says whether everything which an object asks for is done. It is set,
// to False, where a field that has no effect yet is set; an object that is honoured whole has none.
const ConditionHonoured = "Honoured"

// setHonoured sets or takes away the condition, on kinds whose status has conditions. The time of an unchanged condition
// stays.
func setHonoured(out any, fields []string, old any) {
	status := conditionsOf(out, len(fields) > 0)
	if status == nil {
		return
	}
	kept := status.Conditions[:0:0]
	for _, c := range status.Conditions {
		if c.Type != ConditionHonoured {
			kept = append(kept, c)
		}
	}
	if len(fields) > 0 {
		c := metav1.Condition{
			Type: ConditionHonoured, Status: metav1.ConditionFalse, Reason: "NotYet",
			Message:            "stored without effect so far: " + strings.Join(fields, ", "),
			LastTransitionTime: metav1.NewTime(time.Now().UTC().Truncate(time.Second)),
		}
		if was := conditionsOf(old, false); was != nil {
			for _, o := range was.Conditions {
				if o.Type == c.Type && o.Status == c.Status {
					c.LastTransitionTime = o.LastTransitionTime
				}
			}
		}
		kept = append(kept, c)
	}
	status.Conditions = kept
}

// conditionsOf is the conditions of an object, nil for a kind that has none; an absent status is made if wanted.
func conditionsOf(object any, want bool) *v3.Conditions {
	v := reflect.ValueOf(object)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	status := v.Elem().FieldByName("Status")
	if !status.IsValid() {
		return nil
	}
	switch s := status.Addr().Interface().(type) {
	case *v3.Conditions:
		return s
	case **v3.Conditions:
		if *s == nil && want {
			*s = &v3.Conditions{}
		}
		return *s
	}
	return nil
}
