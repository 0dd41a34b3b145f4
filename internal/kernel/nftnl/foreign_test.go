package nftnl

import (
	"os/exec"
	"strings"
	"testing"
)

func TestForwardDrops(t *testing.T) {
	ns, c := open(t)
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(`
table ip docker {
	chain drops { type filter hook forward priority 0; policy drop; }
	chain accepts { type filter hook forward priority 1; policy accept; }
	chain elsewhere { type filter hook input priority 0; policy drop; }
	chain regular { }
}
table inet tortie {
	chain own { type filter hook forward priority 0; policy drop; }
}`)
	if err := ns.Do(nft.Start); err != nil {
		t.Fatal(err)
	}
	if err := nft.Wait(); err != nil {
		t.Fatal(err)
	}
	got, err := c.ForwardDrops("tortie")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].String() != "ip docker drops" {
		t.Errorf("found %v, want only the foreign chain that drops what is forwarded", got)
	}
}
