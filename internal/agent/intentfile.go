package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tortie-net/tortie/internal/intent"
)

// intentFormat is the version of the intent file; older ones are read for two minor releases.
const intentFormat = 1

// maxIntentFile bounds what is read back, in bytes.
const maxIntentFile = 1 << 30

// intentHeader is the first line of the file, as JSON.
type intentHeader struct {
	Format   int    `json:"format"`
	Node     string `json:"node"`
	Cluster  string `json:"cluster"`
	Checksum string `json:"sha256"`
}

func init() {
	for _, o := range []intent.Object{
		&intent.Config{}, &intent.Set{}, &intent.Policy{}, &intent.Profile{}, &intent.Endpoint{}, &intent.NodeFacts{},
		&intent.Pool{}, &intent.BlockRoute{},
	} {
		gob.Register(o)
	}
}

// saveIntent writes a node's intent: temp file, fsync, rename, fsync of the folder.
func saveIntent(path, node, cluster string, objects []intent.Object) error {
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(objects); err != nil {
		return fmt.Errorf("save intent: %w", err)
	}
	header, err := json.Marshal(intentHeader{intentFormat, node, cluster, fmt.Sprintf("%x", sha256.Sum256(body.Bytes()))})
	if err != nil {
		return fmt.Errorf("save intent: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".intent-*")
	if err != nil {
		return fmt.Errorf("save intent: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(append(header, '\n'), body.Bytes()...))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("save intent: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("save intent: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("save intent: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// loadIntent reads a node's intent back. A file that is not there gives nothing; one that is corrupt, newer, or of
// another node is moved aside and reported.
func loadIntent(path, node string) (objects []intent.Object, cluster string, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", nil
	}
	if err == nil && info.Size() > maxIntentFile {
		err = fmt.Errorf("%d bytes: allowed are %d", info.Size(), maxIntentFile)
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err == nil {
		objects, cluster, err = decodeIntent(raw, node)
	}
	if err != nil {
		aside := path + ".unreadable"
		return nil, "", fmt.Errorf("intent file %s: %w; moved to %s", path, errors.Join(err, os.Rename(path, aside)), aside)
	}
	return objects, cluster, nil
}

func decodeIntent(raw []byte, node string) ([]intent.Object, string, error) {
	line, body, ok := bytes.Cut(raw, []byte("\n"))
	var h intentHeader
	if !ok || json.Unmarshal(line, &h) != nil {
		return nil, "", errors.New("no header: truncated?")
	}
	switch {
	case h.Format != intentFormat:
		return nil, "", fmt.Errorf("format %d: this release reads %d", h.Format, intentFormat)
	case h.Node != node:
		return nil, "", fmt.Errorf("it is of node %q, not %q", h.Node, node)
	case h.Checksum != fmt.Sprintf("%x", sha256.Sum256(body)):
		return nil, "", errors.New("checksum does not match: truncated or changed")
	}
	var objects []intent.Object
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(&objects); err != nil {
		return nil, "", err
	}
	return objects, h.Cluster, nil
}
