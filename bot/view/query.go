package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pvechat/pvechat/bot/inventory"
)

// FilterAll shows every state.
const FilterAll = "all"

// Filters are the values of the filter select, in its order.
func Filters() []string {
	all := []string{FilterAll}
	for _, st := range inventory.States {
		all = append(all, string(st))
	}
	return all
}

// Query is which containers a list shows, in which order, and from where on.
// The zero Query is the first page of all, worst first.
type Query struct {
	Filter string // a state, or FilterAll
	Search string // what names, tags or nodes must contain, see Search
	Sort   string // a key of sorts; "" is worst first
	Page   int    // from 1
}

// longestSearch keeps a query inside of what a surface can carry.
const longestSearch = 18

// Search is what a person typed as a query looks for it: in lower case, and
// without what no name, tag or node holds. "tag:web" and "node:pve1" look
// there alone, and for the whole word.
func Search(typed string) string {
	s := fold(strings.ReplaceAll(strings.TrimSpace(typed), " ", "-"))
	return s[:min(len(s), longestSearch)]
}

func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', strings.ContainsRune("._-:", r):
			return r
		}
		return -1
	}, s)
}

// ParseQuery reads what somebody wants a board to show: a state, "tag:web",
// "node:pve1", or nothing for all. The error lists these.
func ParseQuery(typed string) (Query, error) {
	s := Search(typed)
	switch kind, word, found := strings.Cut(s, ":"); {
	case s == "":
		return Query{Filter: FilterAll}, nil
	case slices.Contains(Filters(), s):
		return Query{Filter: s}, nil
	case found && word != "" && (kind == "tag" || kind == "node"):
		return Query{Filter: FilterAll, Search: s}, nil
	}
	return Query{Filter: FilterAll}, fmt.Errorf("%s, tag:NAME or node:NAME", strings.Join(Filters(), ", "))
}

// String is the query as ParseQuery reads it.
func (q Query) String() string { return cmp.Or(q.Search, q.Filter) }

// state is the query as a surface carries it: "b.stopped.cpu.2.web"; on a
// person's home it begins with "h".
func (q Query) state(surface string) string {
	s := surface + "." + q.Filter + "." + cmp.Or(q.Sort, "worst") + "." + strconv.Itoa(max(q.Page, 1))
	if q.Search != "" {
		s += "." + q.Search
	}
	return s
}

// Surfaces that carry a query.
const (
	onPanel = "b"
	onHome  = "h"
)

// QueryOf reads the query that a surface carried, and whether that was a home;
// what it cannot read is the first page of all.
func QueryOf(state string) (q Query, home bool) {
	q = Query{Filter: FilterAll, Page: 1}
	parts := strings.SplitN(state, ".", 5)
	if len(parts) < 4 || parts[0] != onPanel && parts[0] != onHome || !slices.Contains(Filters(), parts[1]) {
		return q, false
	}
	q.Filter = parts[1]
	if sorts[parts[2]] != nil {
		q.Sort = parts[2]
	}
	if n, err := strconv.Atoi(parts[3]); err == nil && n > 0 {
		q.Page = n
	}
	if len(parts) == 5 {
		q.Search = Search(parts[4])
	}
	return q, parts[0] == onHome
}

// Choose applies the value of an entry of the select: "filter:stopped" or
// "sort:cpu". The page goes back to the first.
func (q Query) Choose(value string) Query {
	if by, ok := strings.CutPrefix(value, "sort:"); ok {
		q.Sort = ""
		if sorts[by] != nil {
			q.Sort = by
		}
	} else if f := strings.TrimPrefix(value, "filter:"); slices.Contains(Filters(), f) {
		q.Filter = f
	}
	q.Page = 1
	return q
}

// sorts are the orders besides worst first.
var sorts = map[string]func(a, b *inventory.Container) int{
	"name": byName,
	"vmid": func(a, b *inventory.Container) int { return cmp.Or(cmp.Compare(a.VMID, b.VMID), byName(a, b)) },
	"cpu": func(a, b *inventory.Container) int {
		return cmp.Or(cmp.Compare(b.Shown.CPU, a.Shown.CPU), byName(a, b))
	},
	"mem": func(a, b *inventory.Container) int {
		return cmp.Or(cmp.Compare(b.Shown.Mem, a.Shown.Mem), byName(a, b))
	},
}

// sortWords name the orders in the select, in its order.
var sortWords = []struct{ key, label, heading string }{
	{"worst", "Worst first", ""},
	{"name", "By name", "by name"},
	{"vmid", "By VMID", "by VMID"},
	{"cpu", "By CPU", "by CPU"},
	{"mem", "By memory", "by memory"},
}

// byName ends at the own id, so that equal names keep their order.
func byName(a, b *inventory.Container) int {
	return cmp.Or(
		cmp.Compare(strings.ToLower(a.DisplayName()), strings.ToLower(b.DisplayName())),
		cmp.Compare(a.VMID, b.VMID), cmp.Compare(a.ID, b.ID),
	)
}

// matcher reports what the search finds; nil where it finds everything.
func (q Query) matcher() func(*inventory.Container) bool {
	kind, word, qualified := strings.Cut(q.Search, ":")
	tagged := func(word string) func(*inventory.Container) bool {
		return func(c *inventory.Container) bool {
			return slices.ContainsFunc(c.TagList(), func(tag string) bool { return fold(tag) == word })
		}
	}
	switch {
	case q.Search == "":
		return nil
	case qualified && kind == "tag":
		return tagged(word)
	case qualified && kind == "node":
		return func(c *inventory.Container) bool { return fold(c.Node) == word }
	}
	hasTag := tagged(q.Search)
	return func(c *inventory.Container) bool {
		return strings.Contains(fold(c.DisplayName()), q.Search) || strings.HasPrefix(strconv.Itoa(c.VMID), q.Search) ||
			fold(c.Node) == q.Search || hasTag(c)
	}
}

// showing names what is left out and the order: "Showing: Stopped · web · by CPU".
func (q Query) showing() (heading, rest string) {
	heading = "Showing: " + title(q.Filter)
	if q.Search != "" {
		rest += " · " + q.Search
	}
	for _, s := range sortWords {
		if s.key == q.Sort && s.heading != "" {
			rest += " · " + s.heading
		}
	}
	return heading, rest
}
