#!/bin/sh
# Tortie by hand: what `tortie lab demo` does, typed out. Three nodes are network namespaces on one bridge; store and
# agents are started one by one; workloads are attached by running tortie-cni as a container runtime would.
#
# Needs: Linux, root, iproute2, ping, and tortie and tortie-cni in the PATH:
#
#     make build && sudo PATH="$PWD/bin:$PATH" sh docs/by-hand.sh
#
# Everything is taken away again at the end, also after Ctrl-C.
set -eu

nodes="hand-n1 hand-n2 hand-n3"
workloads="hand-web hand-api hand-visitor"
dir=$(mktemp -d /tmp/tortie-by-hand.XXXXXX)

clean() {
	trap - EXIT INT TERM
	for pid in ${pids:-}; do kill "$pid" 2>/dev/null || true; done
	wait
	for ns in $workloads $nodes hand-lan; do ip netns del "$ns" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap clean EXIT
trap 'clean; exit 130' INT TERM

# try SECONDS COMMAND…: again and again until it succeeds.
try() {
	end=$(($(date +%s) + $1))
	shift
	until "$@" >"$dir/out" 2>&1; do
		if [ "$(date +%s)" -ge "$end" ]; then
			echo "gave up: $*" >&2
			cat "$dir/out" >&2
			tail -n 5 "$dir"/*.log >&2
			return 1
		fi
		sleep 0.1
	done
}

for program in ip ping tortie tortie-cni; do
	command -v $program >/dev/null || { echo "$program is not in the PATH" >&2; exit 1; }
done

# --- 1. Three hosts on one wire.
ip netns add hand-lan
ip -n hand-lan link add br0 type bridge
ip -n hand-lan link set br0 up
host=10
for node in $nodes; do
	ip netns add "$node"
	ip -n "$node" link set lo up
	ip -n hand-lan link add "$node" type veth peer name eth0 netns "$node"
	ip -n hand-lan link set "$node" master br0 up
	ip -n "$node" addr add 172.31.0.$host/24 dev eth0
	[ ! -e /proc/sys/net/ipv6 ] || ip -n "$node" addr add fd00:31::$host/64 dev eth0 nodad
	ip -n "$node" link set eth0 up
	host=$((host + 1))
done
ip netns exec hand-n1 ping -c 1 -W 2 172.31.0.12 >/dev/null
echo "ok: three nodes reach each other"

# --- 2. The store: the built-in etcd, at a Unix socket. The variables are those of Calico's tools.
export DATASTORE_TYPE=etcdv3 ETCD_ENDPOINTS="unix://$dir/store.sock"
tortie store --dir "$dir/store" --listen "$ETCD_ENDPOINTS" --no-fsync >"$dir/store.log" 2>&1 &
pids=$!
try 20 tortie get clusterinformation default
echo "ok: the store answers"

# --- 3. An agent per node, each in its own network namespace with its own folder.
for node in $nodes; do
	ip netns exec "$node" tortie agent --node "$node" --run-dir "$dir/$node" >"$dir/$node.log" 2>&1 &
	pids="$pids $!"
done
for node in $nodes; do
	try 20 test -S "$dir/$node/query.sock"
done

# --- 4. An address pool, and the objects that a cluster would have of the workloads.
tortie apply -f - <<'OBJECTS'
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: hand}
spec: {cidr: 10.96.0.0/16, ipipMode: Never, vxlanMode: Never}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: hand-web, namespace: shop, labels: {app: web}}
spec: {nodeName: hand-n1, containers: [{name: main, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {name: hand-api, namespace: shop, labels: {app: api}}
spec: {nodeName: hand-n2, containers: [{name: main, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {name: hand-visitor, namespace: shop, labels: {app: visitor}}
spec: {nodeName: hand-n3, containers: [{name: main, image: none}]}
OBJECTS
for node in $nodes; do
	try 20 sh -c "tortie node status --run-dir '$dir/$node' | grep -i ready | grep -qiv 'not ready'"
done
echo "ok: three agents are ready"

# --- 5. Workloads, attached as a container runtime does it: CNI_* variables, configuration on standard input.
# cni COMMAND WORKLOAD NODE
cni() {
	CNI_COMMAND=$1 CNI_CONTAINERID="hand-$2" CNI_NETNS="/run/netns/$2" CNI_IFNAME=eth0 CNI_PATH=/usr/bin \
		CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=$2;K8S_POD_INFRA_CONTAINER_ID=hand-$2" \
		tortie-cni <<CONF
{"cniVersion": "1.1.0", "name": "hand", "type": "tortie-cni", "socket": "$dir/$3/cni.sock",
 "ipam": {"type": "tortie-ipam", "assign_ipv4": "true", "assign_ipv6": "false"}}
CONF
}
# attach WORKLOAD NODE: prints the address that it got.
attach() {
	ip netns add "$1"
	ip -n "$1" link set lo up
	cni ADD "$1" "$2" >"$dir/$1.json" || { cat "$dir/$1.json" >&2; return 1; }
	ip -n "$1" -4 -o addr show dev eth0 | sed 's/.*inet \([0-9.]*\).*/\1/'
}
web=$(attach hand-web hand-n1)
api=$(attach hand-api hand-n2)
visitor=$(attach hand-visitor hand-n3)
echo "ok: web is $web, api is $api, visitor is $visitor"

# --- 6. Routes: BGP spreads them, a full mesh by default.
reach() { ip netns exec "$1" ping -c 1 -W 1 "$2"; }
try 20 reach hand-web "$api"
try 20 reach hand-visitor "$api"
echo "ok: web and visitor reach api, over routes that BGP brought:"
ip -n hand-n1 route show | grep "^10.96.*via"

# --- 7. Policy: only web may reach api.
tortie apply -f - <<'POLICY'
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: only-web, namespace: shop}
spec:
  selector: app == 'api'
  types: [Ingress]
  ingress: [{action: Allow, source: {selector: app == 'web'}}]
POLICY
silent() { ! reach "$1" "$2"; }
try 10 silent hand-visitor "$api"
echo "ok: visitor does not reach api any more"
try 5 reach hand-web "$api"
echo "ok: web still reaches api"

# --- 8. Why?
tortie explain shop/hand-visitor shop/hand-api:8080/TCP >"$dir/why"
head -n 1 "$dir/why"
grep -q '^Denied.*only-web' "$dir/why"
echo "ok: explain names the policy"

# --- 9. An agent killed with -9: packets go on, and policy holds.
set -- $pids
kill -9 "$3" # that of hand-n2: the store is the first
wait "$3" 2>/dev/null || true
reach hand-web "$api" >/dev/null
silent hand-visitor "$api" >/dev/null
echo "ok: without its agent the node keeps network and policy"
ip netns exec hand-n2 tortie agent --node hand-n2 --run-dir "$dir/hand-n2" >>"$dir/hand-n2.log" 2>&1 &
pids="$pids $!"
try 20 tortie node status --run-dir "$dir/hand-n2"

# --- 10. Workloads leave, and their addresses are free again.
cni DEL hand-web hand-n1
cni DEL hand-api hand-n2
cni DEL hand-visitor hand-n3
try 10 sh -c "! tortie ipam show --ip=$api | grep -q hand-api"
echo "ok: the workloads are gone"
clean
! ip netns list | grep '^hand-'
echo "ok: everything is taken away"
