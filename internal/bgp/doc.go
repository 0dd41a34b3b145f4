// Package bgp spreads routes between nodes: a Speaker takes whole desired state and gives learned routes.
//
// It never touches the kernel's routes: what it learns goes to plane/route. It holds no policy of its own: peerings come
// from the intent, prefixes to advertise from localize. Passwords are resolved by the caller and never logged.
package bgp
