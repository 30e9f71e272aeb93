package proxmox

import (
	"context"
	"net/http"
	"path"
)

// Version is what a node runs.
type Version struct {
	Version string // "9.2.2"
	Release string // "9.2"
}

// Version asks for the version of the node that answers. It needs a valid
// token and no privilege.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var v Version
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/version",
		data: func(r *reader) {
			for name := range r.object() {
				switch string(name) {
				case "version":
					v.Version = r.text()
				case "release":
					v.Release = r.text()
				default:
					r.skip()
				}
			}
		},
	})
	return v, err
}

// Permissions says what the token may do: path, then privilege, then whether
// that also holds below the path. Paths at which it may do nothing are missing.
type Permissions map[string]map[string]bool

// Has reports whether the token has priv at path: it is listed there, or it is
// handed down by the nearest path above that is listed. What a container's
// pool grants is listed under the pool's path only.
func (p Permissions) Has(at, priv string) bool {
	if privs, ok := p[at]; ok {
		_, has := privs[priv]
		return has
	}
	for at != "/" && at != "." {
		at = path.Dir(at)
		if privs, ok := p[at]; ok {
			return privs[priv]
		}
	}
	return false
}

// Permissions asks what our token may do, with its user's own limits applied.
func (c *Client) Permissions(ctx context.Context) (Permissions, error) {
	permissions := make(Permissions)
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/access/permissions",
		data: func(r *reader) {
			for at := range r.object() {
				privs := make(map[string]bool)
				permissions[string(at)] = privs
				for priv := range r.object() {
					priv := r.keep(priv)
					privs[priv] = r.boolean()
				}
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return permissions, nil
}

// Quorate asks whether the nodes that are up are enough to change anything. A
// node without a cluster always is. It needs Sys.Audit on /.
func (c *Client) Quorate(ctx context.Context) (bool, error) {
	quorate := true
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/cluster/status",
		data: func(r *reader) {
			for range r.array() {
				for key := range r.object() {
					if string(key) == "quorate" { // only the cluster's own row has it
						quorate = r.boolean()
					} else {
						r.skip()
					}
				}
			}
		},
	})
	return quorate, err
}
