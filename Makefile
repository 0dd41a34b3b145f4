# The targets that people use. `make demo` and `make test` do all of the set-up themselves.

export CGO_ENABLED ?= 0
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/tortie-net/tortie/internal/obs.Version=$(VERSION)

# The tools, pinned; go run fetches them like any dependency.
STATICCHECK    := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK    := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: build test race proof demo bench gen lint vuln mutants image setup clean

build:
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/tortie ./cmd/tortie
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/tortie-cni ./cmd/tortie-cni

# Real peers for tests: BIRD for BGP, nft to read what the plane wrote.
setup:
	@scripts/setup

test: setup
	go test -timeout 30m ./...

# The race detector needs a C compiler. The packages are those that start goroutines; GoBGP has races of its own when
# several speakers run in one process, so it is looked at in the agents of a lab instead.
race: setup
	CGO_ENABLED=1 go test -race -timeout 20m ./internal/cni/... ./internal/feed/... ./internal/ipam/... ./internal/plane/... ./internal/store/...
	TORTIE_RACE=1 go test -count=1 -timeout 20m -run 'TestAgentKilled$$|TestBirths|TestScripts/thread' ./test

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	GOARCH=arm64 go vet ./...
	$(STATICCHECK) ./...

vuln:
	@$(GOVULNCHECK) ./... || echo "make vuln: govulncheck found something, or its database did not answer (see above)"

demo: build
	@bin/tortie lab demo

# The budgets of the design, with the figures that this machine reaches.
bench: build
	go run ./test/bench

# The whole proof: a million generated packets through policy and trace, and the kernel's slice.
proof: setup
	TORTIE_PROOF_CASES=1000000 go test -count=1 -timeout 60m -v ./test/proof
	TORTIE_PROOF_CASES=20000 go test -count=1 -timeout 60m -v -run Generated ./internal/plane/nft

# Planted faults, each of which the proof must find.
mutants:
	go run ./test/mutants

gen:
	go generate ./api/v3
	go run ./internal/gen/fields

# A container image without a container engine: a tarball for `ctr image import`.
image: build
	go run ./internal/gen/image

clean:
	rm -rf bin
