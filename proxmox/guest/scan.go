package guest

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// scanScript is all that runs in a container to see its services.
//
//go:embed scan.sh
var scanScript string

const (
	maxScan     = 2 << 20 // bytes of a reply
	maxServices = 500
	maxPorts    = 100 // of one service
	maxName     = 100 // characters
)

// Scan sees which services run in the container and what listens there, in one
// round trip. Ports that are known to speak HTTP or not to are not asked again:
// they come without their [Port].Web.
//
// It returns an *[Error], or the error of a ctx that was cancelled.
func (c *Client) Scan(ctx context.Context, t Target, known []uint16) (Scan, error) {
	line := "/bin/sh -s --"
	for _, port := range known {
		line += " " + strconv.Itoa(int(port))
	}
	output, err := c.run(ctx, t, command{line: line, stdin: scanScript, limit: maxScan})
	if err != nil {
		return Scan{}, err
	}
	return readScan(output)
}

// readScan reads what scan.sh printed.
func readScan(output []byte) (Scan, error) {
	s := scanReply{processes: map[int]process{}, owners: map[string]int{}}
	at := 0
	for line := range bytes.Lines(output) {
		at++
		word, rest, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		if !s.began {
			s.began = word == "pvechat-scan" && rest == "1"
			continue
		}
		if s.ended {
			break
		}
		if err := s.line(word, rest); err != nil {
			return Scan{}, &Error{Kind: Output, Err: fmt.Errorf("line %d of the reply: %w", at, err)}
		}
	}
	switch {
	case !s.began:
		return Scan{}, &Error{Kind: Output, Err: errors.New("the script did not run (a forced command, or a login shell that runs nothing?)")}
	case !s.ended:
		return Scan{}, &Error{Kind: Output, Err: errors.New("the reply ends early")}
	}
	return s.scan(), nil
}

// scanReply is the reply of scan.sh, being read.
type scanReply struct {
	began, ended bool

	init      string
	missing   []string
	unit      map[string]string // being read
	units     []map[string]string
	rc        []rcService
	level     string
	daemons   map[int]string // OpenRC's services by process
	boxes     []box
	sockets   []socket
	owners    map[string]int // processes by inode
	processes map[int]process
	webs      []web
}

type rcService struct{ level, name, status string }

type box struct {
	kind                      ServiceKind
	id, name, status, restart string
	ports                     []uint16
}

type socket struct {
	at    netip.AddrPort
	inode string
}

type process struct {
	parent  int
	command string
	cgroups []string
}

type web struct {
	port   uint16
	scheme string
	six    bool
}

func (s *scanReply) line(word, rest string) error {
	switch word {
	case "end":
		s.endUnit()
		s.ended = true
		return nil
	case "missing":
		if len(s.missing) < 10 && !slices.Contains(s.missing, clean(rest, maxName)) {
			s.missing = append(s.missing, clean(rest, maxName))
		}
		return nil
	case "init":
		if rest != string(Systemd) && rest != string(OpenRC) {
			return errors.New("no init system that was asked for")
		}
		s.init = rest
		return nil
	case "unit":
		s.unitLine(rest)
		return nil
	case "rc":
		s.rcLine(rest)
		return nil
	case "daemon":
		return s.daemon(rest)
	case "box":
		return s.box(rest)
	case "listen":
		return s.listen(rest)
	case "owner":
		return s.owner(rest)
	case "process":
		return s.process(rest)
	case "cgroup":
		return s.cgroup(rest)
	case "web":
		return s.web(rest)
	}
	return errors.New("no such thing was asked for")
}

func (s *scanReply) endUnit() {
	if len(s.unit) > 0 && len(s.units) < 4*maxServices {
		s.units = append(s.units, s.unit)
	}
	s.unit = nil
}

// unitLine takes a property; a blank line ends a unit.
func (s *scanReply) unitLine(rest string) {
	key, value, ok := strings.Cut(rest, "=")
	if !ok {
		s.endUnit()
		return
	}
	if s.unit == nil {
		s.unit = map[string]string{}
	}
	if len(s.unit) < 20 {
		s.unit[key] = value
	}
}

var (
	rcLevel  = regexp.MustCompile(`^(?:Dynamic )?Runlevel: (\S+)`)
	rcStatus = regexp.MustCompile(`^\s+(\S+)\s+\[\s*(\w+)`)
)

func (s *scanReply) rcLine(rest string) {
	if m := rcLevel.FindStringSubmatch(rest); m != nil {
		s.level = m[1]
	} else if m := rcStatus.FindStringSubmatch(rest); m != nil && len(s.rc) < 4*maxServices {
		s.rc = append(s.rc, rcService{s.level, m[1], m[2]})
	}
}

func (s *scanReply) daemon(rest string) error {
	number, name, _ := strings.Cut(rest, " ")
	pid, err := strconv.Atoi(number)
	if err != nil {
		return errors.New("an odd process")
	}
	if s.daemons == nil {
		s.daemons = map[int]string{}
	}
	s.daemons[pid] = name
	return nil
}

func (s *scanReply) box(rest string) error {
	kind, rest, _ := strings.Cut(rest, "|")
	fields := strings.Split(rest, "|")
	if kind != string(Docker) && kind != string(Podman) || len(fields) != 6 {
		return errors.New("an odd container")
	}
	b := box{kind: ServiceKind(kind), id: fields[0], name: strings.TrimPrefix(fields[1], "/"), status: fields[2], restart: fields[3]}
	for word := range strings.FieldsSeq(fields[5]) {
		if port, err := strconv.ParseUint(word, 10, 16); err == nil && port > 0 && len(b.ports) < maxPorts {
			b.ports = append(b.ports, uint16(port))
		}
	}
	same := func(o box) bool { return o.name == b.name } // docker may be podman under another name
	if len(s.boxes) < maxServices && !slices.ContainsFunc(s.boxes, same) {
		s.boxes = append(s.boxes, b)
	}
	return nil
}

func (s *scanReply) listen(rest string) error {
	place, inode, ok := strings.Cut(rest, " ")
	address, port, ok2 := strings.Cut(place, ":")
	raw, err1 := hex.DecodeString(address)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if !ok || !ok2 || err1 != nil || err2 != nil || len(raw)%4 != 0 {
		return errors.New("an odd socket")
	}
	for i := 0; i < len(raw); i += 4 { // the kernel prints words of its own byte order
		slices.Reverse(raw[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return errors.New("an odd address")
	}
	if len(s.sockets) < 2*maxServices {
		s.sockets = append(s.sockets, socket{netip.AddrPortFrom(addr.Unmap(), uint16(number)), inode})
	}
	return nil
}

func (s *scanReply) owner(rest string) error {
	inode, number, _ := strings.Cut(rest, " ")
	pid, err := strconv.Atoi(number)
	if err != nil {
		return errors.New("an odd owner")
	}
	if first, ok := s.owners[inode]; !ok || pid < first { // a socket that was handed down belongs to who opened it
		s.owners[inode] = pid
	}
	return nil
}

func (s *scanReply) process(rest string) error {
	pid, rest, _ := strings.Cut(rest, " ")
	parent, command, _ := strings.Cut(rest, " ")
	number, err1 := strconv.Atoi(pid)
	above, err2 := strconv.Atoi(parent)
	if err1 != nil || err2 != nil {
		return errors.New("an odd process")
	}
	s.processes[number] = process{parent: above, command: command}
	return nil
}

func (s *scanReply) cgroup(rest string) error {
	pid, line, _ := strings.Cut(rest, " ")
	number, err := strconv.Atoi(pid)
	if err != nil {
		return errors.New("an odd process")
	}
	p := s.processes[number]
	if len(p.cgroups) < 20 {
		p.cgroups = append(p.cgroups, line)
	}
	s.processes[number] = p
	return nil
}

func (s *scanReply) web(rest string) error {
	words := strings.Fields(rest)
	if len(words) != 3 || words[1] != "http" && words[1] != "https" {
		return errors.New("an odd answer")
	}
	port, err := strconv.ParseUint(words[0], 10, 16)
	if err != nil {
		return errors.New("an odd port")
	}
	s.webs = append(s.webs, web{uint16(port), words[1], words[2] == "6"})
	return nil
}

// scan makes services of what was read.
func (s *scanReply) scan() Scan {
	found := map[string]*Service{}
	var order []*Service
	add := func(v Service) *Service {
		v.Unit, v.Name = clean(v.Unit, maxName), clean(v.Name, maxName)
		if known := found[v.Key()]; known != nil {
			return known
		}
		found[v.Key()] = &v
		order = append(order, &v)
		return &v
	}
	for _, u := range s.units {
		if state, ok := unitState(u); ok {
			add(Service{Kind: Systemd, Unit: u["Id"], Name: strings.TrimSuffix(u["Id"], ".service"), State: state})
		}
	}
	for _, r := range s.rc {
		if state, ok := r.state(); ok {
			add(Service{Kind: OpenRC, Unit: r.name, Name: r.name, State: state})
		}
	}
	boxByID := map[string]*Service{}
	published := map[uint16]*Service{}
	for _, b := range s.boxes {
		if state, ok := b.state(); ok {
			v := add(Service{Kind: b.kind, Unit: b.name, Name: b.name, State: state})
			boxByID[b.id] = v
			for _, port := range b.ports {
				published[port] = v
			}
		}
	}
	listening := map[uint16]bool{}
	for _, sock := range s.sockets {
		v := s.serviceOf(sock, found, boxByID, published, add)
		if v.Kind == OpenRC && v.State == ServiceStopped {
			v.State = ServiceRunning // somebody started it by hand
		}
		listening[sock.at.Port()] = true
		if len(v.Ports) < maxPorts {
			v.Ports = append(v.Ports, s.port(sock.at.Addr(), sock.at.Port()))
		}
	}
	for _, b := range s.boxes { // without a proxy process the kernel forwards, and nothing is seen to listen
		for _, port := range b.ports {
			if v := published[port]; v != nil && !listening[port] && v.State == ServiceRunning && len(v.Ports) < maxPorts {
				v.Ports = append(v.Ports, s.port(netip.IPv4Unspecified(), port))
			}
		}
	}
	out := Scan{Init: s.init, Missing: s.missing}
	for _, v := range order {
		slices.SortFunc(v.Ports, func(a, b Port) int { return cmp.Or(cmp.Compare(a.Port, b.Port), a.Addr.Compare(b.Addr)) })
		v.Ports = slices.Compact(v.Ports)
		v.System = isSystem(*v)
		out.Services = append(out.Services, *v)
	}
	slices.SortFunc(out.Services, func(a, b Service) int { return cmp.Compare(a.Key(), b.Key()) })
	if n := len(out.Services); n > maxServices {
		out.Services, out.More = out.Services[:maxServices], n-maxServices
	}
	return out
}

func (s *scanReply) port(addr netip.Addr, port uint16) Port {
	p := Port{Addr: addr, Port: port}
	for _, w := range s.webs {
		if w.port == port && !addr.IsLoopback() {
			p.Web, p.Web6 = w.scheme, w.six
		}
	}
	return p
}

// unitState is the state of a systemd unit; ok is false for one that nobody
// expects to run, such as one that ran once and ended well.
func unitState(u map[string]string) (state ServiceState, ok bool) {
	if !strings.HasSuffix(u["Id"], ".service") || u["LoadState"] != "loaded" {
		return "", false
	}
	switch u["ActiveState"] {
	case "failed":
		return ServiceFailed, true
	case "active", "reloading":
		return ServiceRunning, u["SubState"] != "exited"
	case "activating":
		if u["SubState"] == "auto-restart" {
			return ServiceFailed, true
		}
		return ServiceStarting, u["Type"] != "oneshot"
	case "deactivating":
		return ServiceStopped, u["Type"] != "oneshot"
	}
	expected := strings.HasPrefix(u["UnitFileState"], "enabled") && u["Type"] != "oneshot" && u["ConditionResult"] != "no" && u["TriggeredBy"] == ""
	return ServiceStopped, expected
}

func (r rcService) state() (state ServiceState, ok bool) {
	switch r.status {
	case "started", "scheduled":
		return ServiceRunning, r.level != "sysinit" && r.level != "boot" && r.level != "needed/wanted" && r.level != "hotplugged"
	case "starting":
		return ServiceStarting, true
	case "crashed":
		return ServiceFailed, true
	case "stopped", "stopping", "inactive":
		return ServiceStopped, r.level == "default"
	}
	return "", false
}

func (b box) state() (state ServiceState, ok bool) {
	switch b.status {
	case "running", "paused":
		return ServiceRunning, true
	case "restarting", "dead":
		return ServiceFailed, true
	case "exited", "stopped", "created", "configured":
		return ServiceStopped, b.restart == "always" || b.restart == "unless-stopped" || b.restart == "on-failure"
	}
	return "", false
}

// serviceOf finds out to what a socket belongs.
func (s *scanReply) serviceOf(sock socket, found map[string]*Service, boxes map[string]*Service, published map[uint16]*Service, add func(Service) *Service) *Service {
	pid, owned := s.owners[sock.inode]
	p := s.processes[pid]
	if strings.HasPrefix(p.command, "docker-proxy") || p.command == "conmon" || p.command == "rootlessport" || p.command == "rootlesskit" || !owned {
		if v := published[sock.at.Port()]; v != nil {
			return v
		}
	}
	for _, line := range p.cgroups {
		for part := range strings.SplitSeq(line, "/") {
			id := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(part, "docker-"), "libpod-"), ".scope")
			if v := boxes[id]; v != nil {
				return v
			}
			if v := found[string(Systemd)+"/"+clean(part, maxName)]; v != nil {
				return v
			}
		}
	}
	for _, number := range []int{pid, p.parent} {
		if name, ok := s.daemons[number]; ok && number > 1 {
			if v := found[string(OpenRC)+"/"+clean(name, maxName)]; v != nil {
				return v
			}
		}
	}
	name := p.command
	if !owned {
		name = "?"
	}
	if v := found[string(OpenRC)+"/"+clean(name, maxName)]; v != nil {
		return v
	}
	return add(Service{Kind: Process, Unit: name, Name: name, State: ServiceRunning})
}

// clean makes text of a container fit to be kept and shown, in limit
// characters at most.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return short(s, limit)
}
