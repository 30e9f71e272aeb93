# What people run while they work on pvechat. CI runs `check` through .ci/run.

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build test race lint check golden demo screenshots

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

golden:
	go test ./bot/view -update

demo:
	go run ./cmd/pvechat-demo

# Needs Chromium, and a font with emoji (Debian: fonts-noto-color-emoji).
screenshots:
	PVECHAT_REQUIRE=chromium go test -count=1 ./cmd/pvechat-demo -run 'InABrowser|OnOnePage' -args -screenshots $(CURDIR)/docs/screenshots
