# The targets that people use. `make demo` and `make test` do all of the set-up themselves.

export CGO_ENABLED ?= 0
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/tortie-net/tortie/internal/obs.Version=$(VERSION)

# The tools, pinned; go run fetches them like any dependency.
STATICCHECK    := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK    := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: build test race proof demo bench gen lint vuln mutants setup clean

build:
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/tortie ./cmd/tortie
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/tortie-cni ./cmd/tortie-cni

# Real peers for tests: BIRD for BGP, nft to read what the plane wrote.
setup:
	@scripts/setup

test: setup build
	go test ./...

# The race detector needs a C compiler; the packages are those that start goroutines.
race:
	CGO_ENABLED=1 go test -race ./internal/agent/... ./internal/cni/... ./internal/feed/... ./internal/ipam/... ./internal/plane ./internal/store/...

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	GOARCH=arm64 go vet ./...
	$(STATICCHECK) ./...

vuln:
	@$(GOVULNCHECK) ./... || echo "make vuln: govulncheck found something, or its database did not answer (see above)"

demo: build
	@bin/tortie lab demo

bench:
	go test -run '^$$' -bench . -benchtime 1x ./...

gen:
	go generate ./api/v3
	go run ./internal/gen/fields

clean:
	rm -rf bin
