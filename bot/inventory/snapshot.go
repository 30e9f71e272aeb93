package inventory

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/proxmox"
)

// Snapshot is everything that is known at one moment. It is immutable and
// shared by all who read it.
type Snapshot struct {
	Clusters []Cluster // in the order of the configuration
	byState  map[State][]*Container
	byID     map[ID]*Container
	typed    *index
	names    []ID // all, by name
}

// index finds containers by what a person types. Snapshots in which nobody has
// another name or number share one.
type index struct {
	once   sync.Once // the first who types pays for it
	byName map[string][]ID
	byVMID map[int][]ID
}

func (s *Snapshot) index() *index {
	s.typed.once.Do(func() {
		s.typed.byName, s.typed.byVMID = make(map[string][]ID, len(s.byID)), make(map[int][]ID, len(s.byID))
		for id, c := range s.byID {
			s.typed.byVMID[c.VMID] = append(s.typed.byVMID[c.VMID], id)
			if name := strings.ToLower(c.Hostname); name != "" {
				s.typed.byName[name] = append(s.typed.byName[name], id)
			}
		}
	})
	return s.typed
}

// Cluster is the state of one cluster's answers.
type Cluster struct {
	Name    string
	At      time.Time // of the last good answer; zero before the first
	Changed time.Time // when a list of it last looked different
	Err     error     // why the last try failed; nil when it did not
	Since   time.Time // when Err began
	Nodes   []Node
	Skew    time.Duration // how far its clock is ahead of ours

	Storages []proxmox.Storage // one for each storage and node
}

// Stale reports whether the cluster did not answer the last time.
func (c Cluster) Stale() bool { return c.Err != nil }

// StoragesFor returns those of a node that are there and hold a kind of content,
// such as "rootdir" or "vztmpl", the one with most room first.
func (c Cluster) StoragesFor(node, content string) []proxmox.Storage {
	var list []proxmox.Storage
	for _, st := range c.Storages {
		if st.Node == node && st.Status == "available" && slices.Contains(strings.Split(st.Content, ","), content) {
			list = append(list, st)
		}
	}
	slices.SortFunc(list, func(a, b proxmox.Storage) int {
		return cmp.Or(cmp.Compare(b.Size-b.Used, a.Size-a.Used), strings.Compare(a.Name, b.Name))
	})
	return list
}

// Node is a node of a cluster.
type Node struct {
	Name   string
	Online bool
	Since  time.Time // when Online last changed, as far as this process saw

	Mem, MaxMem int64 // bytes
}

// Len is the number of containers.
func (s *Snapshot) Len() int { return len(s.byID) }

// Count is the number of containers in a state.
func (s *Snapshot) Count(st State) int { return len(s.byState[st]) }

// ByID finds a container that is not gone.
func (s *Snapshot) ByID(id ID) (*Container, bool) {
	c, ok := s.byID[id]
	return c, ok
}

// In returns the containers in a state, by name.
func (s *Snapshot) In(st State) []*Container { return s.byState[st] }

// WorstFirst returns the containers of all states in the order in which a
// person wants to see them: trouble first, by name inside each state.
func (s *Snapshot) WorstFirst() iter.Seq[*Container] {
	return func(yield func(*Container) bool) {
		for _, st := range [...]State{Error, Unknown, Creating, Running, Stopped} {
			for _, c := range s.byState[st] {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Cluster finds a cluster's state by name.
func (s *Snapshot) Cluster(name string) (Cluster, bool) {
	for _, c := range s.Clusters {
		if c.Name == name {
			return c, true
		}
	}
	return Cluster{}, false
}

// At is the time of the oldest of the clusters' last good answers.
func (s *Snapshot) At() time.Time {
	var t time.Time
	for i, c := range s.Clusters {
		if i == 0 || c.At.Before(t) {
			t = c.At
		}
	}
	return t
}

// Find resolves what a person types for a container: a hostname, a VMID,
// node/name, cluster/name or cluster/vmid. Several answers mean that the word
// is ambiguous.
func (s *Snapshot) Find(name string) []*Container {
	name = strings.TrimSpace(name)
	place, rest, qualified := strings.Cut(name, "/")
	if !qualified {
		rest = name
	}
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "CT "), "ct ")
	ids := s.index().byName[strings.ToLower(rest)]
	if vmid, err := strconv.Atoi(rest); err == nil {
		ids = slices.Concat(ids, s.index().byVMID[vmid])
	}
	var found []*Container
	for _, id := range ids {
		c := s.byID[id]
		if qualified && !strings.EqualFold(place, c.Node) && !strings.EqualFold(place, c.Cluster) {
			continue
		}
		if !slices.Contains(found, c) { // its name is its number
			found = append(found, c)
		}
	}
	slices.SortFunc(found, order)
	return found
}

// Suggest returns up to n containers whose name, number or place contains what
// was typed so far; those that begin with it come first.
func (s *Snapshot) Suggest(typed string, n int, may func(*Container) bool) []*Container {
	typed = strings.ToLower(strings.TrimSpace(typed))
	var first, then []*Container
	for _, c := range s.byID {
		name := strings.ToLower(c.DisplayName())
		at := strings.Index(name, typed)
		if at < 0 && !strings.HasPrefix(strconv.Itoa(c.VMID), typed) && !strings.HasPrefix(c.Node+"/"+name, typed) {
			continue
		}
		if !may(c) {
			continue
		}
		if at == 0 {
			first = append(first, c)
		} else {
			then = append(then, c)
		}
	}
	slices.SortFunc(first, order)
	slices.SortFunc(then, order)
	all := append(first, then...)
	return all[:min(n, len(all))]
}

func order(a, b *Container) int {
	return cmp.Or(
		cmp.Compare(a.DisplayName(), b.DisplayName()),
		cmp.Compare(a.Cluster, b.Cluster),
		cmp.Compare(a.VMID, b.VMID),
	)
}
