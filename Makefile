# What people run while they work on pvechat. CI runs `check` through .ci/run.

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
NFPM := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

# What is released for.
ARCHES := amd64 arm64
DIST := dist
MODULE := github.com/pvechat/pvechat
VERSION := $(shell git describe --tags --dirty --match 'v*' 2>/dev/null || TZ=UTC git log -1 --format=v0.0.0-%cd.%h --date=format-local:%Y%m%d%H%M%S)

.PHONY: build test race lint check golden demo screenshots bench load measure profile dist deb

build:
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

test:
	go test ./...

race:
	go test -race ./...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go run $(GOLANGCI) run ./...

check: build lint test race

# Static binaries, what is in them (CycloneDX), Debian packages, checksums.
dist:
	rm -rf dist
	set -e; for arch in $(ARCHES); do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -ldflags='-s -w -X $(MODULE)/cmd/internal/daemon.release=$(VERSION)' -o dist/pvechat_linux_$$arch ./cmd/pvechat; \
		go run $(CYCLONEDX) bin -json -version $(VERSION) -output dist/pvechat_linux_$$arch.cdx.json dist/pvechat_linux_$$arch; \
		$(MAKE) -s deb ARCH=$$arch; \
	done
	cd dist && sha256sum * >SHA256SUMS

# The package of a binary that is there.
deb:
	ARCH=$(ARCH) VERSION=$(VERSION) DIST=$(DIST) go run $(NFPM) package --config deploy/deb/nfpm.yaml --packager deb --target $(DIST)

golden:
	go test ./bot/view -update

demo:
	go run ./cmd/pvechat-demo

# The first table of docs/performance.md.
bench:
	go test -run='^$$' -bench='Tick|Floor|Click|Render|Access' ./bot
	go test -run='^$$' -bench=. ./bot/create

# Start, memory, stop and size of a process: the second table.
measure:
	go test -run='^$$' -bench=Process -benchtime=3x ./cmd/pvechat

# Its load table: clicks on both platforms for a minute, beside an empty handler.
load:
	go run ./cmd/pvechat-demo --load --containers 10000 --boards 100 --clicks 50

# CPU and heap of a tick at 10,000 containers and of 1,000 clicks; look at them
# with: go tool pprof -http=: bin/bot.test profile/tick.cpu
profile:
	@mkdir -p profile bin
	go test ./bot -run='^$$' -bench='Tick/10000$$' -benchtime=50x -o bin/bot.test -cpuprofile profile/tick.cpu -memprofile profile/tick.heap
	go test ./bot -run='^$$' -bench='Click' -benchtime=250x -o bin/bot.test -cpuprofile profile/click.cpu -memprofile profile/click.heap

# Needs Chromium, and a font with emoji (Debian: fonts-noto-color-emoji).
screenshots:
	PVECHAT_REQUIRE=chromium go test -count=1 ./cmd/pvechat-demo -run 'InABrowser|OnOnePage' -args -screenshots $(CURDIR)/docs/screenshots
