package services

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Report is what is known of the services of one container. It is immutable.
type Report struct {
	Container inventory.ID
	Services  []Service // in the order in which they are shown
	More      int       // further ones, which are not kept
	Missing   []string  // what the last good scan could not find out: guest.LacksInit, …

	CheckedAt time.Time     // the last good scan; zero: none yet
	Took      time.Duration // that one
	Addrs     []netip.Addr  // of the container, at that time; the best first

	TriedAt time.Time  // the last scan, good or not
	Problem guest.Kind // why that one is not the one at CheckedAt; empty: it is
	Detail  string     // the same for who runs pvechat

	// HostKey is the key that the container showed, where Problem is that it
	// is unknown or has changed.
	HostKey string
}

// Service is a service, and since when.
type Service struct {
	guest.Service
	Since  time.Time // in this state, as far as was seen; zero: before anybody looked
	GoneAt time.Time // the last scan that saw it; zero: the last one did
}

// Up reports whether it does what it should.
func (s Service) Up() bool { return s.State == guest.ServiceRunning && s.GoneAt.IsZero() }

// Inside reports whether nobody manages it and only the container itself
// reaches it: a helper of something else.
func (s Service) Inside() bool {
	return s.Kind == guest.Process && len(s.Ports) > 0 && !slices.ContainsFunc(s.Ports, func(p guest.Port) bool { return !p.Loopback() })
}

// Known reports whether a scan has succeeded.
func (r *Report) Known() bool { return r != nil && !r.CheckedAt.IsZero() }

// Count counts the services that are neither the operating system's nor helpers
// inside, and those of them that are up. Before the first good scan there are
// none.
func (r *Report) Count() (up, total int) {
	if r == nil {
		return 0, 0
	}
	for _, s := range r.Services {
		if s.System || s.Inside() {
			continue
		}
		total++
		if s.Up() {
			up++
		}
	}
	return up, total
}

// How long a service that is gone is still told of. A process that nobody
// manages may have been somebody's try.
const (
	keepGone        = 7 * 24 * time.Hour
	keepGoneProcess = 24 * time.Hour
)

// merge is what is known after a good scan.
func merge(before *Report, id inventory.ID, found guest.Scan, asked map[uint16]bool, addrs []netip.Addr, now time.Time, took time.Duration) *Report {
	after := &Report{
		Container: id, More: found.More, Missing: found.Missing, CheckedAt: now, TriedAt: now, Took: took.Round(time.Millisecond), Addrs: addrs,
	}
	old := map[string]Service{}
	if before != nil {
		for _, s := range before.Services {
			old[s.Key()] = s
		}
	}
	seen := map[string]bool{}
	for _, s := range found.Services {
		seen[s.Key()] = true
		next := Service{Service: s}
		was, known := old[s.Key()]
		switch {
		case known && was.State == s.State && was.GoneAt.IsZero():
			next.Since = was.Since
		case before.Known():
			next.Since = now
		}
		if known {
			next.Ports = carry(was, next, asked)
		}
		after.Services = append(after.Services, next)
	}
	if before != nil {
		for _, s := range before.Services {
			if gone, keep := s.gone(before, now); keep && !seen[s.Key()] {
				after.Services = append(after.Services, gone)
			}
		}
	}
	after.sort()
	return after
}

// sort puts the worst first, what is down last, and each by name.
func (r *Report) sort() {
	rank := map[guest.ServiceState]int{guest.ServiceFailed: -1, guest.ServiceStopped: 1}
	slices.SortFunc(r.Services, func(a, b Service) int {
		return cmp.Or(
			cmp.Compare(rank[a.State], rank[b.State]),
			cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)),
			cmp.Compare(a.Key(), b.Key()),
		)
	})
}

// gone is s after a scan that did not see it.
func (s Service) gone(before *Report, now time.Time) (Service, bool) {
	if s.GoneAt.IsZero() {
		s.GoneAt, s.Since = before.CheckedAt, now
	}
	s.State = guest.ServiceStopped
	keep := keepGone
	if s.Kind == guest.Process {
		keep = keepGoneProcess
	}
	return s, !s.System && now.Sub(s.GoneAt) < keep
}

// carry keeps what a scan was not asked for: what a known port speaks, and on
// which ports something listened that is down.
func carry(was, is Service, asked map[uint16]bool) []guest.Port {
	if len(is.Ports) == 0 && is.State != guest.ServiceRunning {
		return was.Ports
	}
	ports := slices.Clone(is.Ports)
	for i, p := range ports {
		for _, before := range was.Ports {
			if !asked[p.Port] && before.AddrPort() == p.AddrPort() && p.Web == "" {
				ports[i] = before
			}
		}
	}
	return ports
}

// settled is how long a port is asked anew what it speaks: what has just begun
// may not answer yet.
const settled = 15 * time.Minute

// known are the ports of which it is known what they speak.
func (r *Report) known(now time.Time) []uint16 {
	if r == nil {
		return nil
	}
	var ports []uint16
	for _, s := range r.Services {
		for _, p := range s.Ports {
			if s.Up() && (p.Web != "" || now.Sub(s.Since) > settled) && !slices.Contains(ports, p.Port) {
				ports = append(ports, p.Port)
			}
		}
	}
	return ports[:min(len(ports), 200)]
}

// failed is what is known after a scan that did not work.
func failed(before *Report, id inventory.ID, kind guest.Kind, detail, hostKey string, now time.Time) *Report {
	after := &Report{Container: id}
	if before != nil {
		*after = *before
	}
	after.TriedAt, after.Problem, after.Detail, after.HostKey = now, kind, detail, hostKey
	return after
}

// looksLike reports whether a list of containers, or an open panel, would show
// the two alike but for the time.
func (r *Report) looksLike(o *Report) bool {
	if r == nil || o == nil {
		return r == o
	}
	if r.Problem != o.Problem || r.Known() != o.Known() || r.More != o.More || r.HostKey != o.HostKey || len(r.Services) != len(o.Services) ||
		!slices.Equal(r.Missing, o.Missing) || !slices.Equal(r.Addrs, o.Addrs) {
		return false
	}
	for i, s := range r.Services {
		if !s.same(o.Services[i]) {
			return false
		}
	}
	return true
}

func (s Service) same(o Service) bool {
	return s.Key() == o.Key() && s.Name == o.Name && s.State == o.State && s.System == o.System &&
		s.Since.Equal(o.Since) && s.GoneAt.Equal(o.GoneAt) && slices.Equal(s.Ports, o.Ports)
}

// changes are the services to write and the keys of those to remove, so that
// the store holds r rather than o.
func (r *Report) changes(o *Report) (write []Service, remove []string) {
	old := map[string]Service{}
	if o != nil {
		for _, s := range o.Services {
			old[s.Key()] = s
		}
	}
	for _, s := range r.Services {
		if was, ok := old[s.Key()]; !ok || !s.same(was) {
			write = append(write, s)
		}
		delete(old, s.Key())
	}
	for key := range old {
		remove = append(remove, key)
	}
	slices.Sort(remove)
	return write, remove
}
