package cni

import "encoding/json"

// ProtocolVersion of the socket; the agent serves this one and the one before.
const ProtocolVersion = 1

// MaxRequest is the largest request in bytes.
const MaxRequest = 1 << 20

// SocketRequest is what tortie-cni sends: one JSON document, its length as 4 bytes big endian before it, and, for ADD,
// DEL and CHECK with a namespace, one file descriptor of the network namespace (SCM_RIGHTS) with the first byte.
type SocketRequest struct {
	Version     int             `json:"version"`
	Command     string          `json:"command"` // ADD, DEL, CHECK, GC, STATUS; with IPAM before it for the plain IPAM plugin
	ContainerID string          `json:"containerID,omitempty"`
	IfName      string          `json:"ifName,omitempty"`
	Args        string          `json:"args,omitempty"`  // CNI_ARGS
	Netns       bool            `json:"netns,omitempty"` // a descriptor comes along
	Config      json.RawMessage `json:"config"`          // stdin of the plugin
}

// SocketResponse answers it, framed alike.
type SocketResponse struct {
	Version int             `json:"version"`
	Result  json.RawMessage `json:"result,omitempty"` // CNI result in the version the config asks for
	Error   *SocketError    `json:"error,omitempty"`
}

// SocketError is a CNI error.
type SocketError struct {
	Code    uint   `json:"code"`
	Msg     string `json:"msg"`
	Details string `json:"details,omitempty"`
}
