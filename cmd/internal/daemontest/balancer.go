package daemontest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"sync"
	"testing"
)

// balancer is the one address behind which bots take turns, request by request.
// One that does not take connections any more is left out, and the next asked.
type balancer struct {
	url string

	mu     sync.Mutex
	bots   []string // their addresses
	next   int
	served map[string]int // requests, by bot
}

func newBalancer(t testing.TB) *balancer {
	b := &balancer{served: map[string]int{}}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "bots.test" }, Transport: b,
	})
	b.url = s.URL
	t.Cleanup(s.Close)
	return b
}

func (b *balancer) add(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bots = append(b.bots, address)
}

func (b *balancer) remove(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bots = slices.DeleteFunc(b.bots, func(bot string) bool { return bot == address })
}

// turn is the bot whose turn it is.
func (b *balancer) turn() (address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.bots) == 0 {
		return "127.0.0.1:9" // nobody is there
	}
	b.next++
	address = b.bots[b.next%len(b.bots)]
	b.served[address]++
	return address
}

// RoundTrip implements [http.RoundTripper].
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	r.URL.Host = b.turn()
	return http.DefaultTransport.RoundTrip(r)
}
