package nft

import "github.com/tortie-net/tortie/internal/kernel/nftnl"

// heir is what a new chain of policies was until now: a chain that goes, to which all of the new one's interfaces are
// dispatched. When a policy begins or ends to select endpoints, the chain that they share is renamed and gets other rules.
// The elements that lead to it stay as they are, so that one transaction is enough: it takes the kernel as long to check
// what base chains lead to, at each commit, as to do all the rest.
type heir struct {
	from   string
	handle uint64
}

// moved is the chains that are not there yet and that interfaces are to be dispatched to that are dispatched elsewhere
// now. The value is where they come from, if they all come from one chain, else empty.
func (p *Plane) moved() map[string]string {
	out := make(map[string]string)
	if !p.exists || p.rebuild {
		return out
	}
	newcomers := make(map[string]struct{})
	for _, s := range []*set{p.from, p.to} {
		s.rows.Pending(func(_ string, want, have *string) {
			if want == nil {
				return
			}
			if _, there := p.rules.chains.Actual(*want); there {
				return
			}
			if have == nil {
				newcomers[*want] = struct{}{}
			} else if from, seen := out[*want]; !seen {
				out[*want] = *have
			} else if from != *have {
				out[*want] = ""
			}
		})
	}
	for name := range newcomers {
		if _, moves := out[name]; moves {
			out[name] = ""
		}
	}
	return out
}

// heirs is how each of the moved chains can be had by renaming; nil if one cannot. An interface may not be among the new
// chain's that comes from nowhere or from a third chain: a packet of it that is under way would meet the renamed chain's
// old rules.
func (p *Plane) heirs(moved map[string]string) map[string]heir {
	var out map[string]heir
	taken := make(map[string]struct{})
	for name, from := range moved {
		_, wanted := p.rules.chains.Wanted(from)
		_, there := p.rules.chains.Actual(from)
		if _, twice := taken[from]; wanted || !there || twice {
			return nil
		}
		taken[from] = struct{}{}
		handle, err := p.conn.ChainHandle(nftnl.Inet, table, from)
		if err != nil || handle == 0 {
			return nil
		}
		if out == nil {
			out = make(map[string]heir)
		}
		out[name] = heir{from: from, handle: handle}
	}
	return out
}
