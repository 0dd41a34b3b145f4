package etcd

import "github.com/tortie-net/tortie/internal/store"

// Codec makes stored bytes of values, and values of stored bytes.
type Codec = store.Codec
