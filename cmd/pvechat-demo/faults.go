package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	slowness   = 4 * time.Second
	retryAfter = 5 * time.Second
)

// fault is something that goes wrong while it is on.
type fault struct {
	name, label string
	targets     []string // none: it needs none
	set         func(w *world, on bool, target string)
}

// faults is which are on.
type faults struct {
	mu sync.Mutex
	on map[string][]string // by name: the targets; "" where it needs none
}

// possible faults, those of the platforms that are there.
func (w *world) possible() []fault {
	list := []fault{{name: "node", label: "Node down", set: func(w *world, on bool, node string) { w.pve.SetNode(node, !on) }}}
	for _, n := range w.pve.Nodes() {
		list[0].targets = append(list[0].targets, n.Name)
	}
	list = append(list, fault{name: "slow", label: "Proxmox slow", set: func(w *world, on bool, _ string) {
		w.pve.Latency(map[bool]time.Duration{true: slowness}[on])
	}}, fault{name: "unreachable", label: "Proxmox unreachable", set: func(w *world, on bool, _ string) { w.pve.Down(on) }})
	if w.slack != nil {
		list = append(list, fault{name: "slack-limit", label: "Slack rate limit", set: func(w *world, on bool, _ string) {
			for _, method := range []string{"chat.postMessage", "chat.update", "views.update", "views.publish"} {
				w.slack.RateLimit(method, map[bool]int{true: math.MaxInt}[on], retryAfter)
			}
		}})
	}
	if w.discord != nil {
		list = append(list, fault{name: "discord-limit", label: "Discord rate limit", set: func(w *world, on bool, _ string) {
			for _, match := range []string{"POST /channels/", "PATCH /channels/", "PATCH /webhooks/"} {
				w.discord.RateLimit(match, map[bool]int{true: -1}[on], retryAfter, false)
			}
		}})
	}
	return list
}

type faultState struct {
	Name    string   `json:"name"`
	Label   string   `json:"label"`
	On      bool     `json:"on"`
	Targets []string `json:"targets"`
	Active  []string `json:"active"` // the targets for which it is on
}

func (w *world) listFaults() []faultState {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	list := []faultState{}
	for _, f := range w.possible() {
		on := w.faults.on[f.name]
		s := faultState{Name: f.name, Label: f.label, On: len(on) > 0, Targets: append([]string{}, f.targets...), Active: []string{}}
		if len(f.targets) > 0 {
			s.Active = append(s.Active, on...)
		}
		list = append(list, s)
	}
	return list
}

// switching is a fault that is switched on or off.
type switching struct {
	Name   string
	On     bool
	Target string
}

func (w *world) setFault(_ context.Context, s switching) (answer, error) {
	all := w.possible()
	i := slices.IndexFunc(all, func(f fault) bool { return f.name == s.Name })
	switch {
	case i < 0:
		return answer{}, fmt.Errorf("there is no fault %q", s.Name)
	case len(all[i].targets) == 0:
		s.Target = ""
	case !slices.Contains(all[i].targets, s.Target):
		return answer{}, fmt.Errorf("fault %q needs one of the targets %q", s.Name, all[i].targets)
	}
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	if slices.Contains(w.faults.on[s.Name], s.Target) == s.On {
		return answer{}, nil
	}
	all[i].set(w, s.On, s.Target)
	if w.faults.on == nil {
		w.faults.on = map[string][]string{}
	}
	if s.On {
		w.faults.on[s.Name] = append(w.faults.on[s.Name], s.Target)
	} else {
		w.faults.on[s.Name] = slices.DeleteFunc(w.faults.on[s.Name], func(t string) bool { return t == s.Target })
	}
	return answer{}, nil
}
