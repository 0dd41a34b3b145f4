// Command image writes a container image as a tarball that `ctr image import` and `docker load` take: an OCI layout with
// one layer that holds the two static programs and the licences, nothing else. The same input gives the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
)

func main() {
	out := flag.String("o", "bin/tortie-image.tar", "tarball to write")
	name := flag.String("name", "tortie.example/tortie:dev", "reference of the image")
	bin := flag.String("bin", "bin", "folder of tortie and tortie-cni")
	flag.Parse()
	if err := run(*out, *name, *bin); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func run(out, name, bin string) error {
	layer, err := tarball(map[string]string{
		"usr/bin/tortie":               filepath.Join(bin, "tortie"),
		"usr/bin/tortie-cni":           filepath.Join(bin, "tortie-cni"),
		"usr/share/doc/tortie/LICENSE": "LICENSE",
		"usr/share/doc/tortie/NOTICE":  "NOTICE",
	})
	if err != nil {
		return err
	}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	blob := func(media string, raw []byte) descriptor {
		sum := fmt.Sprintf("%x", sha256.Sum256(raw))
		files["blobs/sha256/"+sum] = raw
		return descriptor{MediaType: media, Digest: "sha256:" + sum, Size: len(raw)}
	}
	layerDesc := blob("application/vnd.oci.image.layer.v1.tar", layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/usr/bin/tortie"}, "Cmd": []string{"agent"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layerDesc.Digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": blob("application/vnd.oci.image.config.v1+json", config), "layers": []descriptor{layerDesc},
	})
	if err != nil {
		return err
	}
	desc := blob("application/vnd.oci.image.manifest.v1+json", manifest)
	desc.Annotations = map[string]string{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{desc}})
	if err != nil {
		return err
	}
	files["index.json"] = index
	raw, err := pack(files, 0o644)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s, %d MB, %s\n", out, name, len(raw)>>20, desc.Digest)
	return os.WriteFile(out, raw, 0o644)
}

// tarball packs files from the disk under other names; programs are executable.
func tarball(paths map[string]string) ([]byte, error) {
	files := map[string][]byte{}
	for to, from := range paths {
		raw, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		files[to] = raw
	}
	return pack(files, 0o755)
}

// pack writes a tar in name order, without times and owners.
func pack(files map[string][]byte, mode int64) ([]byte, error) {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, n := range names {
		if err := w.WriteHeader(&tar.Header{Name: n, Mode: mode, Size: int64(len(files[n])), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[n]); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}
