package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/node"
	"github.com/tortie-net/tortie/internal/store"
)

// register writes this node's Node object: its addresses, found by the methods of the configuration. It goes on trying
// while the store is away; what cannot work ever (no address fits) is an error.
func (a *Agent) register(ctx context.Context) error {
	ifaces, err := node.Interfaces()
	if err != nil {
		return err
	}
	var v4, v6 netip.Prefix
	find := func(setting string, family int, into *netip.Prefix) error {
		switch setting {
		case "none":
			return nil
		case "", "autodetect":
		default:
			p, err := netip.ParsePrefix(setting)
			if err != nil || p.Addr().Is4() != (family == 4) {
				return fmt.Errorf("node address %q: must be an IPv%d address with its subnet's length, autodetect or none", setting, family)
			}
			*into = p
			return nil
		}
		method := a.config.Method4
		if family == 6 {
			method = a.config.Method6
		}
		p, how, err := node.Detect(method, family, ifaces, node.LocalAddress)
		if err != nil {
			if setting == "autodetect" {
				return err
			}
			return nil // a family that the host does not have
		}
		a.log.Info("node address found", "address", p, "by", how)
		*into = p
		return nil
	}
	if err := errors.Join(find(a.config.IP, 4, &v4), find(a.config.IP6, 6, &v6)); err != nil {
		return err
	}
	for {
		err := a.writeNode(ctx, v4, v6)
		if err == nil {
			a.health.Ready("node", "")
			return nil
		}
		a.health.Ready("node", err.Error())
		a.log.Warn("node object cannot be written; trying again", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// writeNode creates the Node object, or changes its addresses where they differ; the rest is the user's.
func (a *Agent) writeNode(ctx context.Context, v4, v6 netip.Prefix) error {
	key := model.Key{Kind: model.KindNode, Name: a.config.Node}
	old, err := a.store.Get(ctx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if old.Problem != nil {
		return fmt.Errorf("the stored %s cannot be read: %w", key, old.Problem)
	}
	wanted := &v3.Node{}
	if was, ok := old.Value.(*v3.Node); ok {
		wanted = was.DeepCopy()
	}
	wanted.Name = a.config.Node
	if wanted.Spec.BGP == nil {
		wanted.Spec.BGP = &v3.NodeBGPSpec{}
	}
	text := func(p netip.Prefix) string {
		if p.IsValid() {
			return p.String()
		}
		return ""
	}
	if old.Value != nil && wanted.Spec.BGP.IPv4Address == text(v4) && wanted.Spec.BGP.IPv6Address == text(v6) {
		return nil
	}
	wanted.Spec.BGP.IPv4Address, wanted.Spec.BGP.IPv6Address = text(v4), text(v6)
	value, _, err := convert.Prepare(key, wanted, old.Value)
	if err != nil {
		return err
	}
	if old.Value == nil {
		_, err = a.store.Create(ctx, key, value)
	} else {
		_, err = a.store.Update(ctx, key, value, old.Revision)
	}
	return err
}
