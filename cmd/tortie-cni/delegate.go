package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// runDelegate runs another plugin of CNI_PATH with the same configuration and environment, and returns its stdout. Its
// own error comes back with its own code.
func (p plugin) runDelegate(name string, a arguments, until time.Time) (json.RawMessage, error) {
	path, err := findPlugin(name, filepath.SplitList(p.env("CNI_PATH")))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	for {
		var stdout, stderr bytes.Buffer
		c := exec.CommandContext(ctx, path)
		c.Env = append(os.Environ(), "CNI_COMMAND="+a.command)
		c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(a.stdin), &stdout, &stderr
		err := c.Run()
		if errors.Is(err, syscall.ETXTBSY) && ctx.Err() == nil {
			time.Sleep(200 * time.Millisecond) // it is being installed
			continue
		}
		if err == nil {
			return stdout.Bytes(), nil
		}
		var f failure
		if json.Unmarshal(stdout.Bytes(), &f) == nil && f.Msg != "" {
			return nil, &f
		}
		return nil, fmt.Errorf("%s failed: %w: %s", path, err, bytes.TrimSpace(append(stdout.Bytes(), stderr.Bytes()...)))
	}
}

func findPlugin(name string, folders []string) (string, error) {
	if strings.ContainsRune(name, os.PathSeparator) {
		return "", fail(codeConfig, fmt.Sprintf("ipam.type %q: must be a plugin's name, not a path", name), "")
	}
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("plugin %s is in no folder of CNI_PATH: %s", name, strings.Join(folders, ", "))
}

// withVersion gives a result that names no version that of the configuration.
func withVersion(result json.RawMessage, version string) (json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(result, &all); err != nil {
		return nil, fmt.Errorf("its result is not readable: %w", err)
	}
	if raw, ok := all["cniVersion"]; ok && string(raw) != `""` && string(raw) != "null" {
		return result, nil
	}
	if all == nil {
		return nil, errors.New("it gave no result")
	}
	all["cniVersion"] = json.RawMessage(`"` + version + `"`)
	return json.Marshal(all)
}
