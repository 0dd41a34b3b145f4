package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
)

// Inputs is what the cluster's objects say about this node's allocation. Treated as immutable once set.
type Inputs struct {
	Pools        []*model.IPPool // every pool, in the order in which they are used
	Selected     []string        // names of those whose nodeSelector matches this node
	Reservations []netip.Prefix  // never assigned automatically
	Config       model.IPAMConfig
}

// defaultMaxBlocks is the number of blocks per node and family when the configuration names none.
const defaultMaxBlocks = 20

func (in *Inputs) maxBlocks() int {
	if in.Config.MaxBlocksPerHost > 0 {
		return in.Config.MaxBlocksPerHost
	}
	return defaultMaxBlocks
}

// The reasons why no address was given. Test with errors.Is.
var (
	// ErrNoAddress: every pool that may be used is full, or none may be used.
	ErrNoAddress = errors.New("no address available")
	// ErrBlockLimit: the node holds as many blocks as maxBlocksPerHost allows, and all are full. It is an ErrNoAddress.
	ErrBlockLimit = fmt.Errorf("%w: maxBlocksPerHost reached", ErrNoAddress)
	// ErrTaken: an address that was asked for belongs to somebody else.
	ErrTaken = errors.New("address in use")
	// ErrBadRequest: what was asked for cannot be had from these pools at any time.
	ErrBadRequest = errors.New("bad address request")
)

// poolReason is why one pool gave no address.
type poolReason struct {
	pool   string
	reason string
}

// noAddressError names every pool that was looked at, and what was wrong with it.
type noAddressError struct {
	family  string
	reasons []poolReason
	cause   error
}

func (e *noAddressError) Error() string {
	if len(e.reasons) == 0 {
		return fmt.Sprintf("no %s address: there is no %s pool", e.family, e.family)
	}
	parts := make([]string, len(e.reasons))
	for i, r := range e.reasons {
		parts[i] = fmt.Sprintf("pool %s: %s", r.pool, r.reason)
	}
	return fmt.Sprintf("no %s address: %s", e.family, strings.Join(parts, "; "))
}

func (e *noAddressError) Unwrap() error { return e.cause }

func familyName(is4 bool) string {
	if is4 {
		return "IPv4"
	}
	return "IPv6"
}

func poolName(p *model.IPPool) string { return fmt.Sprintf("%q (%s)", p.Name, p.CIDR) }

// usable lists the pools that a request may take addresses of one family from, in order, and why the others may not.
// A name that no pool has is an ErrBadRequest.
func (in *Inputs) usable(r *Request, is4 bool) ([]*model.IPPool, []poolReason, error) {
	names := r.Pools6
	if is4 {
		names = r.Pools4
	}
	candidates := in.Pools
	if names != nil {
		candidates = nil
		for _, name := range names {
			pool := in.find(name)
			if pool == nil {
				return nil, nil, fmt.Errorf("%w: %s pool %q: no IPPool has this name or CIDR; there are %s",
					ErrBadRequest, familyName(is4), name, in.names(is4))
			}
			if pool.CIDR.Addr().Is4() != is4 {
				return nil, nil, fmt.Errorf("%w: %s pool %s: is not an %s pool",
					ErrBadRequest, familyName(is4), poolName(pool), familyName(is4))
			}
			if !slices.Contains(candidates, pool) {
				candidates = append(candidates, pool)
			}
		}
	}
	var usable []*model.IPPool
	var reasons []poolReason
	for _, pool := range candidates {
		if pool.CIDR.Addr().Is4() != is4 {
			continue
		}
		if why := in.refuses(pool, r, names != nil); why != "" {
			reasons = append(reasons, poolReason{poolName(pool), why})
			continue
		}
		usable = append(usable, pool)
	}
	return usable, reasons, nil
}

// refuses says why a pool does not serve a request, or "". Who names a pool outright (Explicit) overrides its selectors
// and assignmentMode; nobody overrides disabled and allowedUses. A namespaceSelector is judged by the caller, who knows
// the namespace and names the pools that match: one that has a namespaceSelector and is not named is not used.
func (in *Inputs) refuses(pool *model.IPPool, r *Request, named bool) string {
	switch {
	case pool.Disabled:
		return "is disabled"
	case r.Tunnel && !pool.Tunnel:
		return "allowedUses lacks Tunnel"
	case !r.Tunnel && !pool.Workload:
		return "allowedUses lacks Workload"
	case named && r.Explicit:
		return ""
	case pool.Manual:
		return "assignmentMode is Manual and it was not asked for by name"
	case !slices.Contains(in.Selected, pool.Name):
		return "nodeSelector does not match this node"
	case pool.NamespaceSelector != nil && !named && !r.Tunnel:
		return "namespaceSelector was not matched"
	}
	return ""
}

// find is the pool with a name or CIDR.
func (in *Inputs) find(name string) *model.IPPool {
	for _, p := range in.Pools {
		if p.Name == name {
			return p
		}
	}
	cidr, err := netip.ParsePrefix(name)
	if err != nil {
		return nil
	}
	for _, p := range in.Pools {
		if p.CIDR == cidr.Masked() {
			return p
		}
	}
	return nil
}

// holding is the pool that contains an address.
func (in *Inputs) holding(addr netip.Addr) *model.IPPool {
	for _, p := range in.Pools {
		if p.CIDR.Contains(addr) {
			return p
		}
	}
	return nil
}

func (in *Inputs) names(is4 bool) string {
	var names []string
	for _, p := range in.Pools {
		if p.CIDR.Addr().Is4() == is4 {
			names = append(names, poolName(p))
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}
