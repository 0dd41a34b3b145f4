package etcd

import "os"

// LocalSocket is where the built-in store listens unless told otherwise (`tortie store`).
const LocalSocket = "/run/tortie/store.sock"

// FromHost is FromEnv of this process; where the environment names no server and the built-in store's socket is on this
// host, that is the store.
func FromHost() (Config, error) {
	return FromEnv(func(name string) string {
		value := os.Getenv(name)
		if value == "" && name == "ETCD_ENDPOINTS" {
			if info, err := os.Stat(LocalSocket); err == nil && info.Mode()&os.ModeSocket != 0 {
				return "unix://" + LocalSocket
			}
		}
		return value
	})
}
