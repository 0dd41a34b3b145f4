package query

import (
	"time"
)

// Status is how a node stands.
type Status struct {
	Node      string        `json:"node"`
	Version   string        `json:"version"`
	Started   time.Time     `json:"started"`
	Ready     bool          `json:"ready"`
	NotReady  []string      `json:"notReady,omitempty"`
	Store     StoreStatus   `json:"store"`
	Planes    []PlaneStatus `json:"planes"`
	Endpoints int           `json:"endpoints"`          // workloads of the intent
	Bound     int           `json:"bound"`              // joined to an interface
	Problems  []Problem     `json:"problems,omitempty"` // objects and settings that cannot be used as they stand
	BGP       *BGPStatus    `json:"bgp,omitempty"`
}

// StoreStatus is how the node's feed stands.
type StoreStatus struct {
	Connected bool   `json:"connected"`
	InSync    bool   `json:"inSync"`
	Revision  uint64 `json:"revision"`
	LastError string `json:"lastError,omitempty"`
}

// PlaneStatus is how far the kernel is what it should be.
type PlaneStatus struct {
	Name     string            `json:"name"`
	Objects  int               `json:"objects"`
	Pending  int               `json:"pending"`
	Writes   uint64            `json:"writes"`
	Bytes    uint64            `json:"bytes"`
	Repairs  uint64            `json:"repairs"`
	Error    string            `json:"error,omitempty"`
	Failures map[string]string `json:"failures,omitempty"`
}

// Problem is something that the user should mend.
type Problem struct {
	Object string `json:"object"`
	Reason string `json:"reason"`
}

// BGPStatus is how the speaker stands.
type BGPStatus struct {
	AS       uint32 `json:"as"`
	RouterID string `json:"routerID"`
	Peers    []Peer `json:"peers"`
	Adverts  int    `json:"adverts"`
	Learned  int    `json:"learned"`
}

// Peer is one BGP session.
type Peer struct {
	Name      string    `json:"name"`
	Address   string    `json:"address"`
	AS        uint32    `json:"as"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Received  int       `json:"received"`
	Sent      int       `json:"sent"`
	LastError string    `json:"lastError,omitempty"`
}

// Endpoint is a workload of the node.
type Endpoint struct {
	ID          string   `json:"id"`
	Interface   string   `json:"interface,omitempty"`
	Addresses   []string `json:"addresses,omitempty"`
	ContainerID string   `json:"containerID,omitempty"`
	Bound       bool     `json:"bound"`
	Tiers       []Tier   `json:"tiers,omitempty"`
	Profiles    []string `json:"profiles,omitempty"`
}

// Tier is the policies of one tier that select an endpoint.
type Tier struct {
	Name    string   `json:"name"`
	Ingress []string `json:"ingress,omitempty"`
	Egress  []string `json:"egress,omitempty"`
}

// Counter is what a rule has counted since the table was made.
type Counter struct {
	Rule    string `json:"rule"` // RuleID, 16 hex digits
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Route is a route that the node has programmed.
type Route struct {
	Prefix   string   `json:"prefix"`
	Owner    string   `json:"owner"` // workload, block, cluster, bgp
	Device   string   `json:"device,omitempty"`
	NextHops []string `json:"nextHops,omitempty"`
	Metric   int      `json:"metric"`
}

// Source is the node's state; the agent implements it. Safe for concurrent use.
type Source interface {
	Status() Status
	Endpoints() []Endpoint
	Routes() []Route
	Counters() []Counter
}
