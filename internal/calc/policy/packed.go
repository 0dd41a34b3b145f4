package policy

import (
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// Packed is a policy without its subject in some hundred bytes, its key first: most policies of a cluster select nobody
// of a node, and wait in this form. It lives in memory only; no other version ever reads it.
type Packed string

// kinds are those that policies have, by the number that stands for them.
var kinds = [...]model.Kind{
	model.KindNetworkPolicy, model.KindGlobalNetworkPolicy, model.KindStagedNetworkPolicy,
	model.KindStagedGlobalNetworkPolicy, model.KindStagedKubernetesNetworkPolicy, model.KindKubernetesNetworkPolicy,
	model.KindClusterNetworkPolicy,
}

// tiers are the built-in ones, by the number that stands for them.
var tiers = [...]string{model.TierDefault, model.TierKubeAdmin, model.TierKubeBaseline}

// Pack packs a policy. It reports false if it holds what cannot be packed: a selector that has no text, or a key of
// another kind.
func Pack(p *model.Policy) (Packed, bool) {
	w := packer{buf: make([]byte, 0, 256), ok: true}
	w.key(p.Key)
	w.uid(p.UID)
	w.tier(p.Tier)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(p.Order))
	w.text(string(p.Staged))
	w.flags(p.AppliesIngress, p.AppliesEgress, p.DoNotTrack, p.PreDNAT, p.ApplyOnForward, p.AssumeNeededOnEveryNode)
	w.text(p.Invalid)
	pack(&w, p.Ingress, (*packer).rule)
	pack(&w, p.Egress, (*packer).rule)
	return Packed(w.buf), w.ok
}

// Is tells whether it is the policy with a key.
func (p Packed) Is(key model.Key) bool {
	r := unpacker{text: string(p)}
	return r.kind() == key.Kind && r.string() == key.Namespace && r.string() == key.Name
}

// Unpack is the policy that was packed, with the subject that it had.
func (p Packed) Unpack(subject *selector.Selector) *model.Policy {
	r := unpacker{text: string(p)}
	o := &model.Policy{Subject: subject}
	o.Key.Kind, o.Key.Namespace, o.Key.Name = r.kind(), r.string(), r.string()
	o.UID, o.Tier = r.uid(), r.tier()
	o.Order = math.Float64frombits(binary.LittleEndian.Uint64([]byte(r.take(8))))
	o.Staged = model.StagedAction(r.string())
	r.flags(&o.AppliesIngress, &o.AppliesEgress, &o.DoNotTrack, &o.PreDNAT, &o.ApplyOnForward, &o.AssumeNeededOnEveryNode)
	o.Invalid = r.string()
	o.Ingress = unpack(&r, (*unpacker).rule)
	o.Egress = unpack(&r, (*unpacker).rule)
	if r.bad != "" {
		o.Invalid = r.bad // isolates the subjects
	}
	return o
}

// packer appends to buf. A list is its length plus one and its elements, or 0 for nil.
type packer struct {
	buf []byte
	ok  bool
}

func (w *packer) byte(b ...byte)  { w.buf = append(w.buf, b...) }
func (w *packer) number(n int)    { w.buf = binary.AppendUvarint(w.buf, uint64(n)) }
func (w *packer) text(s string)   { w.number(len(s)); w.buf = append(w.buf, s...) }
func (w *packer) uint16(n uint16) { w.buf = binary.LittleEndian.AppendUint16(w.buf, n) }

func (w *packer) flags(list ...bool) {
	var b byte
	for i, set := range list {
		if set {
			b |= 1 << i
		}
	}
	w.byte(b)
}

func (w *packer) key(k model.Key) {
	kind := slices.Index(kinds[:], k.Kind)
	w.ok = w.ok && kind >= 0
	w.byte(byte(kind))
	w.text(k.Namespace)
	w.text(k.Name)
}

// uid takes a UUID as what it is, anything else as text.
func (w *packer) uid(text string) {
	if u, ok := ipset.ParseUUID(text); ok {
		w.byte(1)
		w.buf = append(w.buf, u[:]...)
		return
	}
	w.byte(0)
	w.text(text)
}

// tier takes the names of the built-in tiers as their numbers.
func (w *packer) tier(name string) {
	n := slices.Index(tiers[:], name)
	if w.byte(byte(n + 1)); n < 0 {
		w.text(name)
	}
}

func (w *packer) rule(r *model.Rule) {
	w.byte(byte(r.Action), r.IPVersion, r.Protocol, r.NotProtocol)
	w.flags(r.ICMP.Set, r.ICMP.HasCode, r.NotICMP.Set, r.NotICMP.HasCode, r.Annotations != nil)
	w.byte(r.ICMP.Type, r.ICMP.Code, r.NotICMP.Type, r.NotICMP.Code)
	w.entity(&r.Src)
	w.entity(&r.Dst)
	if r.Annotations != nil {
		w.number(len(r.Annotations))
		for _, name := range slices.Sorted(maps.Keys(r.Annotations)) {
			w.text(name)
			w.text(r.Annotations[name])
		}
	}
}

func (w *packer) entity(e *model.Entity) {
	w.flags(e.Nets != nil, e.NotNets != nil, e.Selector != nil, e.NotSelector != nil, e.Ports != nil, e.NotPorts != nil, e.Service != nil)
	for _, nets := range [][]netip.Prefix{e.Nets, e.NotNets} {
		if nets != nil {
			pack(w, nets, (*packer).prefix)
		}
	}
	for _, s := range []*selector.Selector{e.Selector, e.NotSelector} {
		if s != nil {
			short, ok := index.Shorten(s.String())
			w.ok = w.ok && ok
			w.text(short)
		}
	}
	for _, ports := range [][]model.Port{e.Ports, e.NotPorts} {
		if ports != nil {
			pack(w, ports, (*packer).port)
		}
	}
	if e.Service != nil {
		w.text(e.Service.Namespace)
		w.text(e.Service.Name)
	}
}

func (w *packer) prefix(p *netip.Prefix) {
	raw, err := p.MarshalBinary() // with the zone and, for the zero prefix, empty
	w.ok = w.ok && err == nil
	w.text(string(raw))
}

func (w *packer) port(p *model.Port) {
	w.uint16(p.Min)
	w.uint16(p.Max)
	w.text(p.Name)
}

func pack[T any](w *packer, list []T, element func(*packer, *T)) {
	if list == nil {
		w.number(0)
		return
	}
	w.number(len(list) + 1)
	for i := range list {
		element(w, &list[i])
	}
}

// unpacker takes what packer appended off the beginning of text.
type unpacker struct{ text, bad string }

func (r *unpacker) take(n int) string {
	s := r.text[:n]
	r.text = r.text[n:]
	return s
}

func (r *unpacker) byte() byte { return r.take(1)[0] }

func (r *unpacker) number() int {
	n, shift := 0, 0
	for {
		b := r.byte()
		n |= int(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
		shift += 7
	}
}

func (r *unpacker) string() string   { return r.take(r.number()) }
func (r *unpacker) uint16() uint16   { return uint16(r.byte()) | uint16(r.byte())<<8 }
func (r *unpacker) kind() model.Kind { return kinds[r.byte()] }

func (r *unpacker) uid() string {
	if r.byte() == 0 {
		return r.string()
	}
	return ipset.UID([]byte(r.take(16))).UUID()
}

func (r *unpacker) tier() string {
	if n := r.byte(); n > 0 {
		return tiers[n-1]
	}
	return r.string()
}

func (r *unpacker) flags(list ...*bool) {
	b := r.byte()
	for i, to := range list {
		*to = b&(1<<i) != 0
	}
}

func (r *unpacker) rule() (o model.Rule) {
	o.Action, o.IPVersion, o.Protocol, o.NotProtocol = model.Action(r.byte()), r.byte(), r.byte(), r.byte()
	var annotated bool
	r.flags(&o.ICMP.Set, &o.ICMP.HasCode, &o.NotICMP.Set, &o.NotICMP.HasCode, &annotated)
	o.ICMP.Type, o.ICMP.Code, o.NotICMP.Type, o.NotICMP.Code = r.byte(), r.byte(), r.byte(), r.byte()
	o.Src, o.Dst = r.entity(), r.entity()
	if annotated {
		o.Annotations = map[string]string{}
		for range r.number() {
			name := r.string()
			o.Annotations[name] = r.string()
		}
	}
	return o
}

func (r *unpacker) entity() (o model.Entity) {
	var nets, notNets, sel, notSel, ports, notPorts, service bool
	r.flags(&nets, &notNets, &sel, &notSel, &ports, &notPorts, &service)
	if nets {
		o.Nets = unpack(r, (*unpacker).prefix)
	}
	if notNets {
		o.NotNets = unpack(r, (*unpacker).prefix)
	}
	if sel {
		o.Selector = r.selector()
	}
	if notSel {
		o.NotSelector = r.selector()
	}
	if ports {
		o.Ports = unpack(r, (*unpacker).port)
	}
	if notPorts {
		o.NotPorts = unpack(r, (*unpacker).port)
	}
	if service {
		o.Service = &model.ServiceRef{Namespace: r.string(), Name: r.string()}
	}
	return o
}

// selector parses what Pack found to be parsable. One that is not must not match less than it did.
func (r *unpacker) selector() *selector.Selector {
	s, err := selector.Parse(index.Lengthen(r.string()))
	if err != nil {
		r.bad = err.Error()
	}
	return s
}

func (r *unpacker) prefix() (p netip.Prefix) {
	if p.UnmarshalBinary([]byte(r.string())) != nil {
		return netip.Prefix{}
	}
	return p
}

func (r *unpacker) port() model.Port {
	return model.Port{Min: r.uint16(), Max: r.uint16(), Name: r.string()}
}

func unpack[T any](r *unpacker, element func(*unpacker) T) []T {
	n := r.number()
	if n == 0 {
		return nil
	}
	list := make([]T, n-1)
	for i := range list {
		list[i] = element(r)
	}
	return list
}
