package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// spoolFolder holds DELs that are still to be done: tortie-cni writes them when the agent is away, the agent when the
// store is. A file is one SocketRequest, named by its attachment.
const spoolFolder = "del"

func (j *Journal) spoolDir() string { return filepath.Join(j.o.Dir, spoolFolder) }

// queue keeps a DEL for later.
func (j *Journal) queue(r SocketRequest) error {
	r.Netns = false
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("cni spool: %w", err)
	}
	path := j.spoolPath(r)
	if err := writeFile(path, raw, j.o.Crash); err != nil {
		return fmt.Errorf("cni spool: write %s: %w", path, err)
	}
	return nil
}

// spoolPath is where a DEL of the same attachment is, if one is queued.
func (j *Journal) spoolPath(r SocketRequest) string { return filepath.Join(j.spoolDir(), spoolName(r)) }

func spoolName(r SocketRequest) string {
	name := r.ContainerID + "." + r.IfName + ".json"
	if strings.HasPrefix(r.Command, ipamPrefix) {
		name = "ipam-" + name
	}
	return name
}

// queued lists the files of the spool, oldest first.
func (j *Journal) queued() ([]string, error) {
	found, err := os.ReadDir(j.spoolDir())
	if err != nil {
		return nil, fmt.Errorf("cni spool: %w", err)
	}
	type aged struct {
		path string
		when int64
	}
	var files []aged
	for _, f := range found {
		if f.IsDir() || !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		info, err := f.Info()
		if err != nil {
			continue // went meanwhile
		}
		files = append(files, aged{filepath.Join(j.spoolDir(), f.Name()), info.ModTime().UnixNano()})
	}
	slices.SortFunc(files, func(a, b aged) int {
		if a.when != b.when {
			if a.when < b.when {
				return -1
			}
			return 1
		}
		return strings.Compare(a.path, b.path)
	})
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.path
	}
	return paths, nil
}

// readQueued reads one DEL of the spool. One that cannot be read is moved aside, and the error says so.
func (j *Journal) readQueued(path string) (SocketRequest, error) {
	var r SocketRequest
	raw, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("cni spool: %w", err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, j.setAside(path, err)
	}
	if r.Command != "DEL" && r.Command != ipamPrefix+"DEL" {
		return r, j.setAside(path, fmt.Errorf("command %q: must be DEL", r.Command))
	}
	if err := validAttachment(r.ContainerID, r.IfName); err != nil {
		return r, j.setAside(path, err)
	}
	return r, nil
}

// unqueue removes a DEL from the spool; it says whether there was one.
func (j *Journal) unqueue(path string) (bool, error) {
	j.o.Crash("spool.remove")
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cni spool: %w", err)
	}
	return true, nil
}
