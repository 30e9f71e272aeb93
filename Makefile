# What people run while they work on pvechat. CI runs `check` through .ci/run.

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build test race lint check golden demo screenshots bench profile

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

# The table of docs/performance.md.
bench:
	go test -run='^$$' -bench='Tick|Floor|Click|Render|Access' ./bot

# CPU and heap of a tick at 10,000 containers and of 1,000 clicks; look at them
# with: go tool pprof -http=: bin/bot.test profile/tick.cpu
profile:
	@mkdir -p profile bin
	go test ./bot -run='^$$' -bench='Tick/10000$$' -benchtime=50x -o bin/bot.test -cpuprofile profile/tick.cpu -memprofile profile/tick.heap
	go test ./bot -run='^$$' -bench='Click' -benchtime=250x -o bin/bot.test -cpuprofile profile/click.cpu -memprofile profile/click.heap

# Needs Chromium, and a font with emoji (Debian: fonts-noto-color-emoji).
screenshots:
	PVECHAT_REQUIRE=chromium go test -count=1 ./cmd/pvechat-demo -run 'InABrowser|OnOnePage' -args -screenshots $(CURDIR)/docs/screenshots
