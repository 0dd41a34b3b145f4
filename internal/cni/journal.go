package cni

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// journalFormat is what this release writes; older ones that it still reads would be converted in decodeFile.
const journalFormat = 1

// JournalOptions say where the journal is and whose it is.
type JournalOptions struct {
	Dir     string // …/cni; made with 0700
	Node    string
	Cluster string             // GUID; empty: not known yet, not compared
	Crash   func(point string) // tests only: called before each write
}

// Journal is what CNI did on this node, one file for each attachment, so that a restarted agent knows every binding
// and undoes what it left half done. Safe for concurrent use.
type Journal struct {
	o JournalOptions

	mu       sync.Mutex
	entries  map[attachment]entry
	problems []error
	last     uint64
}

// attachment is CNI's key: a container and an interface in it.
type attachment struct{ containerID, ifName string }

// entryState is how far an attachment came.
type entryState string

const (
	stateBegun entryState = "begun" // ADD under way: after a crash it is undone
	stateBound entryState = "bound" // ADD was answered, or about to be
	stateIPAM  entryState = "ipam"  // addresses only, for another CNI plugin
)

// entry is the content of one file.
type entry struct {
	Seq     uint64          `json:"seq"` // of two with the same workload the greater is the newer
	State   entryState      `json:"state"`
	Handle  string          `json:"handle"` // empty: no address of Tortie's IPAM
	Binding Binding         `json:"binding"`
	NetnsID [2]uint64       `json:"netns"` // device and inode of the workload's namespace
	MTU     int             `json:"mtu,omitempty"`
	Routes  []netip.Prefix  `json:"routes,omitempty"` // in the workload, through its gateway
	Result  json.RawMessage `json:"result,omitempty"` // in CNI 1.1.0
}

func (e entry) attachment() attachment {
	return attachment{e.Binding.ContainerID, e.Binding.IfName}
}

// file is the form on disk. Checksum is SHA-256 of Entry as it stands.
type file struct {
	Format   int             `json:"format"`
	Node     string          `json:"node"`
	Cluster  string          `json:"cluster,omitempty"`
	Checksum string          `json:"checksum"`
	Entry    json.RawMessage `json:"entry"`
}

// OpenJournal reads the folder, which it makes if need be. Files that it cannot use are moved to Dir/aside and
// reported by Problems; they stop nothing.
func OpenJournal(o JournalOptions) (*Journal, error) {
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	for _, dir := range []string{o.Dir, filepath.Join(o.Dir, spoolFolder)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("cni journal: %w", err)
		}
	}
	j := &Journal{o: o, entries: map[attachment]entry{}}
	names, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("cni journal: %w", err)
	}
	for _, n := range names {
		if n.IsDir() {
			continue
		}
		path := filepath.Join(o.Dir, n.Name())
		if !strings.HasSuffix(n.Name(), ".json") {
			_ = os.Remove(path) // a temporary file that a crash left
			continue
		}
		e, err := j.read(path)
		if err != nil {
			j.problems = append(j.problems, j.setAside(path, err))
			continue
		}
		j.entries[e.attachment()] = e
		j.last = max(j.last, e.Seq)
	}
	return j, nil
}

func (j *Journal) read(path string) (entry, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return entry{}, err
	}
	e, err := decodeFile(raw, j.o.Node, j.o.Cluster)
	if err == nil && j.path(e.attachment()) != path {
		err = fmt.Errorf("is named otherwise than its attachment %s/%s", e.Binding.ContainerID, e.Binding.IfName)
	}
	return e, err
}

func decodeFile(raw []byte, node, cluster string) (entry, error) {
	var f file
	if err := json.Unmarshal(raw, &f); err != nil {
		return entry{}, fmt.Errorf("not a journal file: %w", err)
	}
	if f.Format != journalFormat {
		return entry{}, fmt.Errorf("format %d: this release reads %d", f.Format, journalFormat)
	}
	if f.Node != node || f.Cluster != "" && cluster != "" && f.Cluster != cluster {
		return entry{}, fmt.Errorf("belongs to node %q of cluster %q", f.Node, f.Cluster)
	}
	if f.Checksum != checksum(f.Entry) {
		return entry{}, errors.New("checksum does not match")
	}
	var e entry
	if err := json.Unmarshal(f.Entry, &e); err != nil {
		return entry{}, fmt.Errorf("entry: %w", err)
	}
	if err := validAttachment(e.Binding.ContainerID, e.Binding.IfName); err != nil {
		return entry{}, err
	}
	switch e.State {
	case stateBegun, stateBound, stateIPAM:
		return e, nil
	}
	return entry{}, fmt.Errorf("state %q: must be begun, bound or ipam", e.State)
}

func checksum(b []byte) string {
	var compact bytes.Buffer
	if json.Compact(&compact, b) != nil {
		return ""
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:])
}

// setAside moves a file that cannot be used out of the way and says so.
func (j *Journal) setAside(path string, reason error) error {
	dir := filepath.Join(filepath.Dir(path), "aside")
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.Rename(path, filepath.Join(dir, filepath.Base(path)))
	}
	if err != nil {
		return fmt.Errorf("cni journal: %s: %w; moving it aside: %w", path, reason, err)
	}
	return fmt.Errorf("cni journal: %s: %w; moved to %s", path, reason, dir)
}

// Load returns the bindings that stand, the newest of each workload, sorted by workload.
func (j *Journal) Load() []Binding {
	j.mu.Lock()
	defer j.mu.Unlock()
	newest := map[string]entry{}
	for _, e := range j.entries {
		id := e.Binding.Workload.String()
		if e.State == stateBound && e.Seq >= newest[id].Seq {
			newest[id] = e
		}
	}
	out := make([]Binding, 0, len(newest))
	for _, e := range newest {
		b := e.Binding
		b.Addresses = slices.Clone(b.Addresses)
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b Binding) int { return strings.Compare(a.Workload.String(), b.Workload.String()) })
	return out
}

// Problems are the files that could not be used.
func (j *Journal) Problems() []error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.problems)
}

func (j *Journal) get(a attachment) (entry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, ok := j.entries[a]
	return e, ok
}

// list returns those that pass, oldest first.
func (j *Journal) list(pass func(entry) bool) []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []entry
	for _, e := range j.entries {
		if pass(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b entry) int {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	})
	return out
}

// shared says that another attachment uses the same interface of the host.
func (j *Journal) shared(e entry) bool {
	return len(j.list(func(o entry) bool {
		return o.Binding.Interface == e.Binding.Interface && o.attachment() != e.attachment() && o.State != stateIPAM
	})) > 0
}

// put writes an entry; a new one gets the next number.
func (j *Journal) put(e *entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Seq == 0 {
		j.last++
		e.Seq = j.last
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("cni journal: %w", err)
	}
	raw, err := json.Marshal(file{Format: journalFormat, Node: j.o.Node, Cluster: j.o.Cluster, Checksum: checksum(body), Entry: body})
	if err != nil {
		return fmt.Errorf("cni journal: %w", err)
	}
	if err := writeFile(j.path(e.attachment()), raw, j.o.Crash); err != nil {
		return fmt.Errorf("cni journal: write %s: %w", j.path(e.attachment()), err)
	}
	j.entries[e.attachment()] = *e
	return nil
}

// drop removes an entry; none is no error.
func (j *Journal) drop(a attachment) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.o.Crash("journal.remove")
	if err := os.Remove(j.path(a)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cni journal: %w", err)
	}
	delete(j.entries, a)
	return nil
}

func (j *Journal) path(a attachment) string {
	return filepath.Join(j.o.Dir, a.containerID+"."+a.ifName+".json")
}

// writeFile replaces a file as a whole, and returns when it is on disk.
func writeFile(path string, raw []byte, crash func(string)) error {
	crash("file.temp")
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		crash("file.rename")
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	crash("file.folder")
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
