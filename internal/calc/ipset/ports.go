package ipset

import (
	"encoding/binary"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
)

// portLists keeps each list of named ports once: the many pods of an application have the same.
type portLists map[string]*portList

type portList struct {
	ports []model.NamedPort
	text  string
	uses  int
}

// use is the one list with these ports; nil where there are none.
func (l portLists) use(ports []model.NamedPort) *portList {
	if len(ports) == 0 {
		return nil
	}
	var b []byte
	for _, p := range ports {
		b = append(b, p.Protocol)
		b = binary.LittleEndian.AppendUint16(b, p.Port)
		b = append(binary.AppendUvarint(b, uint64(len(p.Name))), p.Name...)
	}
	list := l[string(b)]
	if list == nil {
		list = &portList{ports: slices.Clone(ports), text: string(b)}
		l[list.text] = list
	}
	list.uses++
	return list
}

// drop undoes one use.
func (l portLists) drop(list *portList) {
	if list == nil {
		return
	}
	if list.uses--; list.uses == 0 {
		delete(l, list.text)
	}
}

// all are the ports.
func (list *portList) all() []model.NamedPort {
	if list == nil {
		return nil
	}
	return list.ports
}
