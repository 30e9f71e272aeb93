package proxmoxtest

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// token is an API token with privilege separation: it has what its own access entries give, nothing of its user.
type token struct {
	secret string
	privs  map[string][]string // by path
}

// caller is who makes a call: a token, or a user who works by hand.
type caller struct {
	user  string // user@realm, with !token
	all   bool
	privs map[string][]string
}

// Token adds an API token, or replaces the one of that id (user@realm!name). The privileges belong to paths and propagate to what is
// below them; an entry for a deeper path replaces those from above, as in Proxmox. Containers of a pool also take what is given on
// /pool/NAME. Until the first Token, every well-formed token is accepted and is an administrator.
func (s *Server) Token(id, secret string, privs map[string][]string) {
	s.lock()
	defer s.mu.Unlock()
	own := make(map[string][]string, len(privs))
	for path, list := range privs {
		own[normalPath(path)] = slices.Clone(list)
	}
	s.tokens[id] = &token{secret: secret, privs: own}
	s.touch()
}

// RemoveToken revokes a token. When the last one has gone, none is accepted.
func (s *Server) RemoveToken(id string) {
	s.lock()
	defer s.mu.Unlock()
	s.tokens[id] = nil
	s.touch()
}

// Administrator returns all privileges, those of the role of that name.
func Administrator() []string {
	return strings.Fields(`
		Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit Group.Allocate
		Mapping.Audit Mapping.Modify Mapping.Use Permissions.Modify Pool.Allocate Pool.Audit Realm.Allocate Realm.AllocateUser
		SDN.Allocate SDN.Audit SDN.Use Sys.AccessNetwork Sys.Audit Sys.Console Sys.Incoming Sys.Modify Sys.PowerMgmt Sys.Syslog
		User.Modify VM.Allocate VM.Audit VM.Backup VM.Clone VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk
		VM.Config.HWType VM.Config.Memory VM.Config.Network VM.Config.Options VM.Console VM.Migrate VM.PowerMgmt VM.Replicate
		VM.Snapshot VM.Snapshot.Rollback`)
}

var apiTokenHeader = regexp.MustCompile(`(?:^|\s)PVEAPIToken(?:=| )([^;]*)`)

// authenticate finds out who makes a request. The error is the reason phrase of the 401. The lock is held.
func (s *Server) authenticate(header http.Header) (caller, error) {
	if strings.Contains(header.Get("Cookie"), "PVEAuthCookie=") {
		// A cookie is preferred to a token, and there are no tickets here.
		return caller{}, s.refusal("permission denied - invalid PVE ticket")
	}
	found := apiTokenHeader.FindStringSubmatch(header.Get("Authorization"))
	if found == nil || found[1] == "" {
		return caller{}, errors.New("No ticket")
	}
	full, err := url.PathUnescape(found[1])
	if err != nil {
		full = found[1]
	}
	cut := strings.LastIndex(full, "=")
	if cut < 0 {
		return caller{}, s.refusal("no tokenid specified")
	}
	id, secret := full[:cut], full[cut+1:]
	user, name, ok := strings.Cut(id, "!")
	if !ok || !useridPattern.MatchString(id) {
		return caller{}, s.refusal("no tokenid specified")
	}
	if len(s.tokens) == 0 {
		return caller{user: id, all: true}, nil
	}
	t := s.tokens[id]
	switch {
	case t != nil && t.secret == secret:
		return caller{user: id, privs: t.privs}, nil
	case t != nil:
		return caller{}, s.refusal("invalid token value!")
	}
	for other := range s.tokens {
		if strings.HasPrefix(other, user+"!") {
			return caller{}, s.refusal("no such token '" + name + "' for user '" + user + "'")
		}
	}
	return caller{}, s.refusal("no such user ('" + user + "')")
}

// refusal says why before 9.2, and from then on always the same (pve-manager 26c10a2e).
func (s *Server) refusal(why string) error {
	if s.atLeast(9, 2) {
		why = "Authentication failed!"
	}
	return errors.New(why)
}

// check fails with a 403 unless the caller has all the privileges, or any of them, on the path. The lock is held.
func (s *Server) check(who caller, path string, anyOf bool, privs ...string) error {
	path = normalPath(path)
	if who.all {
		return nil
	}
	var missing string
	for _, p := range privs {
		if s.may(who, path, p) {
			if anyOf {
				return nil
			}
		} else if missing == "" {
			missing = p
		}
	}
	if missing == "" {
		return nil
	}
	if anyOf {
		missing = strings.Join(privs, "|")
	}
	return &apiError{status: 403, message: "Permission check failed (" + path + ", " + missing + ")\n"}
}

// may tells whether the caller has the privilege on the path, which is normal. The lock is held.
func (s *Server) may(who caller, path, priv string) bool {
	if who.all || slices.Contains(inherited(who.privs, path), priv) {
		return true
	}
	if vmid, ok := strings.CutPrefix(path, "/vms/"); ok && len(who.privs) > 0 {
		if pool := s.poolOf(vmid); pool != "" {
			return slices.Contains(inherited(who.privs, "/pool/"+pool), priv)
		}
	}
	return false
}

func (s *Server) poolOf(vmid string) string {
	if g := s.guests[atoi(vmid)]; g != nil {
		return g.Pool
	}
	return ""
}

// inherited is the entry of the nearest path from here up.
func inherited(privs map[string][]string, path string) []string {
	for {
		if list, ok := privs[path]; ok {
			return list
		}
		if path == "/" {
			return nil
		}
		if i := strings.LastIndexByte(path, '/'); i > 0 {
			path = path[:i]
		} else {
			path = "/"
		}
	}
}

func normalPath(path string) string {
	return "/" + strings.Join(segments(path), "/")
}

// getPermissions answers GET /access/permissions (pve-access-control, PVE/API2/AccessControl.pm).
func (s *Server) getPermissions(r *request) (any, error) {
	subject := r.who
	if id := r.text("userid"); r.has("userid") && id != r.who.user {
		if owner, _, _ := strings.Cut(id, "!"); owner != r.who.user {
			if err := s.check(r.who, "/access", false, "Sys.Audit"); err != nil {
				return nil, err
			}
		}
		subject = caller{user: id}
		if t := s.tokens[id]; t != nil {
			subject.privs = t.privs
		} else if id == "root@pam" {
			subject.all = true
		}
	}
	paths := []string{"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
	if r.has("path") {
		paths = []string{r.text("path")}
	} else {
		for _, t := range s.tokens {
			if t == nil {
				continue
			}
			for path := range t.privs {
				paths = append(paths, path)
			}
		}
		for vmid, g := range s.guests {
			if g.Pool != "" {
				paths = append(paths, "/vms/"+itoa(vmid))
			}
		}
	}
	out := make(map[string]map[string]int)
	for _, path := range paths {
		granted := make(map[string]int)
		if subject.all {
			for _, p := range Administrator() {
				granted[p] = 1
			}
		} else {
			normal := normalPath(path)
			for _, p := range inherited(subject.privs, normal) {
				granted[p] = 1
			}
			if vmid, ok := strings.CutPrefix(normal, "/vms/"); ok {
				if pool := s.poolOf(vmid); pool != "" {
					for _, p := range inherited(subject.privs, "/pool/"+pool) {
						if _, ok := granted[p]; !ok {
							granted[p] = 0 // what comes from a pool does not propagate
						}
					}
				}
			}
		}
		if len(granted) > 0 || r.has("path") {
			out[path] = granted
		}
	}
	return out, nil
}
