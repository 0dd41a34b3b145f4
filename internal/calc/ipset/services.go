package ipset

import (
	"net/netip"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Services keeps the endpoint slices, by the service that they are of.
type Services struct {
	slices map[model.Key]*model.EndpointSlice
	byName map[model.ServiceRef]map[model.Key]*model.EndpointSlice
}

func newServices() Services {
	return Services{
		slices: map[model.Key]*model.EndpointSlice{},
		byName: map[model.ServiceRef]map[model.Key]*model.EndpointSlice{},
	}
}

func (v *Services) of(ref model.ServiceRef) map[model.Key]*model.EndpointSlice { return v.byName[ref] }

// SetSlice says what an endpoint slice is now; nil: gone.
func (s *Sets) SetSlice(key model.Key, slice *model.EndpointSlice) {
	if old := s.services.slices[key]; old != nil {
		ref := model.ServiceRef{Namespace: old.Namespace, Name: old.Service}
		for _, t := range s.bySvc[ref] {
			s.contributeSlice(t, old, -1)
		}
		delete(s.services.slices, key)
		if delete(s.services.byName[ref], key); len(s.services.byName[ref]) == 0 {
			delete(s.services.byName, ref)
		}
	}
	if slice == nil || slice.Service == "" {
		return
	}
	ref := model.ServiceRef{Namespace: slice.Namespace, Name: slice.Service}
	s.services.slices[key] = slice
	if s.services.byName[ref] == nil {
		s.services.byName[ref] = map[model.Key]*model.EndpointSlice{}
	}
	s.services.byName[ref][key] = slice
	for _, t := range s.bySvc[ref] {
		s.contributeSlice(t, slice, 1)
	}
}

// contributeSlice adds or takes away a slice's ready endpoints (R70). A port without a number stands for all ports, which
// a set of address and port cannot say: it gives nothing.
func (s *Sets) contributeSlice(t *set, slice *model.EndpointSlice, sign int) {
	for _, a := range slice.Ready {
		p := netip.PrefixFrom(a, a.BitLen())
		if t.spec.Type == intent.SetAddrs {
			s.count(t, intent.Member{Prefix: p}, sign)
			continue
		}
		for _, port := range slice.Ports {
			if port.Port != 0 {
				s.count(t, intent.Member{Prefix: p, Proto: port.Protocol, Port: port.Port}, sign)
			}
		}
	}
}
