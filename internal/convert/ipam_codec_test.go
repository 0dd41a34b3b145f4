package convert

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tortie-net/tortie/internal/model"
)

const smallBlock = `{"cidr":"10.0.0.0/30",%s"allocations":%s,"unallocated":%s,"attributes":[{"handle_id":"h","secondary":{"pod":"p"}}],"sequenceNumber":5,"sequenceNumberForAllocation":{"1":4},"deleted":false}`

func block(t *testing.T, head, allocations, unallocated string) *model.Block {
	t.Helper()
	value, err := Decode(model.Key{Kind: model.KindBlock, Name: "10.0.0.0/30"}, fmt.Appendf(nil, smallBlock, head, allocations, unallocated))
	if err != nil {
		t.Fatal(err)
	}
	return value.(*model.Block)
}

// Old and damaged forms read as what they mean.
func TestDecodeOldIPAMForms(t *testing.T) {
	b := block(t, `"hostAffinity":"n1",`, "[null,0,null,null]", "[0,2,3]")
	if b.Affinity != "host:n1" || b.Node() != "n1" {
		t.Errorf("hostAffinity: affinity is %q", b.Affinity)
	}
	b = block(t, `"affinity":null,`, "[null,0,null,null]", "[0,2,3]")
	if b.Affinity != "" || !b.AffinityClaimTime.IsZero() {
		t.Errorf("orphan: affinity is %q", b.Affinity)
	}
	if diff := cmp.Diff([]int{-1, 0, -1, -1}, b.Allocations); diff != "" {
		t.Error(diff)
	}
	// An ordinal that is allocated, doubled or outside is never handed out.
	b = block(t, "", "[null,0,null,null]", "[1,3,9,-1,3,0]")
	if diff := cmp.Diff([]int{3, 0}, b.Unallocated); diff != "" {
		t.Errorf("unallocated: %s", diff)
	}
	affinity, err := Decode(model.Key{Kind: model.KindAffinity, Namespace: "virtual:load-balancer", Name: "fd00::/122"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := affinity.(*model.Affinity); a.State != model.AffinityConfirmed || a.Owner != "virtual:load-balancer" {
		t.Errorf("empty affinity: %+v", a)
	}
}

func TestDecodeIPAMErrors(t *testing.T) {
	key := func(kind model.Kind) model.Key {
		return model.Key{Kind: kind, Namespace: "host:n", Name: "10.0.0.0/30"}
	}
	for _, c := range []struct {
		kind      model.Kind
		raw, want string
	}{
		{model.KindBlock, ``, `read ipamblock "host:n/10.0.0.0/30": must be a JSON object`},
		{model.KindBlock, `null`, `must be a JSON object`},
		{model.KindBlock, `{"cidr":"10.0.0.1/30"}`, `cidr: "10.0.0.1/30": must be a CIDR without host bits`},
		{model.KindBlock, `{"cidr":"10.0.0.0/8"}`, `cidr: 10.0.0.0/8: holds more than 2^16 addresses`},
		{model.KindBlock, `{"cidr":"10.0.0.0/30","allocations":[null]}`, `allocations: has 1 entries: must be 4, the size of 10.0.0.0/30`},
		{model.KindBlock, `{"cidr":"10.0.0.0/32","allocations":[0]}`, `allocations[0]: 0: must be below 0, the number of attributes`},
		{model.KindBlock, `{"cidr":"10.0.0.0/32","allocations":[null],"sequenceNumberForAllocation":{"7":1}}`, `sequenceNumberForAllocation: ordinal 7 is outside of 10.0.0.0/32`},
		{model.KindAffinity, `{"state":"lost"}`, `state: "lost": must be confirmed, pending or pendingDeletion`},
		{model.KindHandle, `{"block":{"x":1}}`, `block: "x": must be a CIDR`},
		{model.KindIPAMConfig, `{"maxBlocksPerHost":-1}`, `maxBlocksPerHost and ipCooldownSeconds must not be negative`},
		{model.KindIPAMConfig, `[]`, `must be a JSON object`},
	} {
		if _, err := Decode(key(c.kind), []byte(c.raw)); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s %s:\n got %v\nwant %s", c.kind, c.raw, err, c.want)
		}
	}
}

func TestEncodeRefusesTheWrongType(t *testing.T) {
	_, err := Encode(model.Key{Kind: model.KindTier, Name: "a"}, &model.Tier{})
	if want := `write tier "a": is a *model.Tier: must be *v3.Tier, not nil`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
