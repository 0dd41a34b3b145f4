package proof

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/tortie-net/tortie/internal/model"
)

// describe is an object as text that people can read: selectors are their texts.
func describe(value any) string {
	order := ""
	switch o := value.(type) { // JSON knows no infinity
	case *model.Policy:
		c := *o
		if math.IsInf(c.Order, 0) {
			order, c.Order = " order "+fmt.Sprint(c.Order), 0
		}
		value = c
	case *model.Tier:
		c := *o
		if math.IsInf(c.Order, 0) {
			order, c.Order = " order "+fmt.Sprint(c.Order), 0
		}
		value = c
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%+v", value)
	}
	return string(text) + order
}
