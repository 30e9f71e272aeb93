package proxmox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// reference returns a file of the reference folder beside the repository, and
// skips the test where that folder is not.
func reference(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "shared", "reference", name))
	if os.IsNotExist(err) {
		t.Skipf("the reference folder is not here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// number is a bound, which the schema writes as a number or as a string.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	*n = number(f)
	return err
}

// parameter is what the schema says of one parameter.
type parameter struct {
	Type      string
	Optional  number
	Minimum   *number
	Maximum   *number
	MaxLength *int
	Enum      []string
	Pattern   string
	Format    any
}

type method struct {
	Parameters struct {
		AdditionalProperties any
		Properties           map[string]parameter
	}
	AllowToken *int
}

// check says what the schema has against a value.
func (p parameter) check(value string) error {
	switch p.Type {
	case "boolean":
		if value != "0" && value != "1" {
			return fmt.Errorf("%q is not a truth", value)
		}
	case "integer", "number":
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || p.Type == "integer" && n != float64(int64(n)) {
			return fmt.Errorf("%q is not of type %s", value, p.Type)
		}
		if p.Minimum != nil && n < float64(*p.Minimum) || p.Maximum != nil && n > float64(*p.Maximum) {
			return fmt.Errorf("%s is out of bounds", value)
		}
	case "string":
		if p.MaxLength != nil && len(value) > *p.MaxLength {
			return fmt.Errorf("%q is too long", value)
		}
		if p.Pattern != "" {
			pattern := strings.ReplaceAll(p.Pattern, "(?^:", "(?:") // Perl writes it so
			if !regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(value) {
				return fmt.Errorf("%q does not match %s", value, p.Pattern)
			}
		}
		// The formats are names of Perl functions; these are the ones in use.
		if p.Format == "pve-node" && !nodeForm.MatchString(value) {
			return fmt.Errorf("%q is no node", value)
		}
		if list, ok := p.Format.(map[string]any); ok {
			return checkList(list, value)
		}
	default:
		return fmt.Errorf("of type %q, which this test does not know", p.Type)
	}
	if len(p.Enum) > 0 {
		for _, allowed := range p.Enum {
			if value == allowed {
				return nil
			}
		}
		return fmt.Errorf("%q is none of %v", value, p.Enum)
	}
	return nil
}

// checkList says what the schema has against a value such as
// "name=eth0,bridge=vmbr0", whose format names each of its parts.
func checkList(format map[string]any, value string) error {
	raw, err := json.Marshal(format)
	if err != nil {
		return err
	}
	var known map[string]parameter
	if err := json.Unmarshal(raw, &known); err != nil {
		return err
	}
	for part := range strings.SplitSeq(value, ",") {
		name, v, named := strings.Cut(part, "=")
		for key, p := range format {
			if p, ok := p.(map[string]any); !named && ok && p["default_key"] != nil {
				name, v = key, part
			}
		}
		p, ok := known[name]
		if !ok {
			return fmt.Errorf("%q is no part of it", part)
		}
		if err := p.check(v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// match finds the schema's path of a request, and the parameters in it.
func match(schema map[string]map[string]method, path string) (found string, params map[string]string) {
	parts := strings.Split(path, "/") // still escaped
	for template := range schema {
		names := strings.Split(template, "/")
		if len(names) != len(parts) {
			continue
		}
		in := make(map[string]string)
		fits := true
		for i, name := range names {
			if strings.HasPrefix(name, "{") {
				in[strings.Trim(name, "{}")], _ = url.PathUnescape(parts[i])
			} else if name != parts[i] {
				fits = false
			}
		}
		if fits && (found == "" || len(in) < len(params)) {
			found, params = template, in
		}
	}
	return found, params
}

// checkRequest says what the schema has against a request.
func checkRequest(schema map[string]map[string]method, r *http.Request, form string) error {
	path, inAPI := strings.CutPrefix(r.URL.EscapedPath(), "/api2/json")
	if !inAPI {
		return fmt.Errorf("%s is not below /api2/json", r.URL.Path)
	}
	template, params := match(schema, path)
	m, known := schema[template][r.Method]
	if !known {
		return fmt.Errorf("no %s %s", r.Method, path)
	}
	if m.AllowToken != nil && *m.AllowToken == 0 {
		return fmt.Errorf("%s %s is not for tokens", r.Method, template)
	}
	if r.Method != http.MethodPost && form != "" {
		return fmt.Errorf("%s with a body", r.Method)
	}
	if r.Method == http.MethodPost && r.URL.RawQuery != "" {
		return fmt.Errorf("%s with a query", r.Method)
	}
	sent, err := url.ParseQuery(form + r.URL.RawQuery)
	if err != nil {
		return err
	}
	for name, values := range sent {
		if len(values) != 1 || params[name] != "" {
			return fmt.Errorf("%s is there more than once", name)
		}
		params[name] = values[0]
	}
	for name, value := range params {
		p, known := m.Parameters.Properties[name]
		if !known {
			// net0, net1, … are one in the schema.
			p, known = m.Parameters.Properties[strings.TrimRight(name, "0123456789")+"[n]"]
		}
		if !known {
			return fmt.Errorf("%s %s has no parameter %s", r.Method, template, name)
		}
		if err := p.check(value); err != nil {
			return fmt.Errorf("%s %s: %s: %w", r.Method, template, name, err)
		}
	}
	for name, p := range m.Parameters.Properties {
		if _, sent := params[name]; !sent && p.Optional == 0 {
			return fmt.Errorf("%s %s: %s is missing", r.Method, template, name)
		}
	}
	return nil
}

// everyCall lists, for each method of Client that asks Proxmox, calls that
// between them send all that it can send.
var everyCall = map[string][]func(context.Context, *Client) error{
	"Version":         {func(ctx context.Context, c *Client) error { _, err := c.Version(ctx); return err }},
	"Permissions":     {func(ctx context.Context, c *Client) error { _, err := c.Permissions(ctx); return err }},
	"Resources":       {func(ctx context.Context, c *Client) error { _, err := c.Resources(ctx); return err }},
	"ContainerConfig": {func(ctx context.Context, c *Client) error { _, err := c.ContainerConfig(ctx, ct101); return err }},
	"ContainerStatus": {func(ctx context.Context, c *Client) error { _, err := c.ContainerStatus(ctx, ct101); return err }},
	"Interfaces":      {func(ctx context.Context, c *Client) error { _, err := c.Interfaces(ctx, ct101); return err }},
	"Samples": {func(ctx context.Context, c *Client) error {
		_, err := c.Samples(ctx, Ref{Node: "pve-2", VMID: 999999999}, Week)
		return err
	}},
	"Quorate":     {func(ctx context.Context, c *Client) error { _, err := c.Quorate(ctx); return err }},
	"OSTemplates": {func(ctx context.Context, c *Client) error { _, err := c.OSTemplates(ctx, "pve1", "local"); return err }},
	"Appliances":  {func(ctx context.Context, c *Client) error { _, err := c.Appliances(ctx, "pve1"); return err }},
	"Bridges":     {func(ctx context.Context, c *Client) error { _, err := c.Bridges(ctx, "pve1"); return err }},
	"NextID":      {func(ctx context.Context, c *Client) error { _, err := c.NextID(ctx); return err }},
	"Download": {func(ctx context.Context, c *Client) error {
		_, err := c.Download(ctx, "pve1", "local", "debian-13-standard_13.1-2_amd64.tar.zst")
		return err
	}},
	"Create": {
		func(ctx context.Context, c *Client) error { _, err := c.Create(ctx, gitea()); return err },
		func(ctx context.Context, c *Client) error {
			n := gitea()
			n.IP, n.Gateway, n.VLAN, n.Nameserver = "192.0.2.5/24", "192.0.2.1", 20, "192.0.2.1"
			n.OnBoot, n.Privileged, n.Nesting, n.Pool, n.Description = true, true, false, "apps", "made by pvechat"
			n.Tags, n.Password, n.SSHKeys = []string{"web", "dev"}, "secret-1", []string{"ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"}
			_, err := c.Create(ctx, n)
			return err
		},
	},
	"DiskStorages": {func(ctx context.Context, c *Client) error { _, err := c.DiskStorages(ctx, "pve1"); return err }},
	"Remove": {func(ctx context.Context, c *Client) error {
		_, err := c.Remove(ctx, "pve1", Volume{ID: "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst", Storage: "local"})
		return err
	}},
	"Volumes": {func(ctx context.Context, c *Client) error { _, err := c.Volumes(ctx, ct101, "local-lvm"); return err }},
	"Snapshots": {func(ctx context.Context, c *Client) error {
		_, err := c.Snapshots(ctx, Ref{Node: "pve-2", VMID: 999999999})
		return err
	}},
	"Power": {
		do(PowerAction{Verb: Start}), do(PowerAction{Verb: Stop}), do(PowerAction{Verb: Stop, OverruleShutdown: true}),
		do(PowerAction{Verb: Shutdown}), do(PowerAction{Verb: Shutdown, Timeout: 1, ForceStop: true}),
		do(PowerAction{Verb: Reboot}), do(PowerAction{Verb: Reboot, Timeout: time.Hour}),
	},
	"Destroy": {
		func(ctx context.Context, c *Client) error {
			_, err := c.Destroy(ctx, ct101, DestroyOptions{})
			return err
		},
		func(ctx context.Context, c *Client) error {
			_, err := c.Destroy(ctx, ct101, DestroyOptions{Force: true, Purge: true, DestroyUnreferencedDisks: true})
			return err
		},
	},
	"Tasks": {
		list(TaskFilter{}), list(TaskFilter{VMID: 101, Since: time.Unix(1732616626, 0), Source: "all", Type: "vzstart", Limit: 500, Errors: true}),
		list(TaskFilter{Source: "active"}), list(TaskFilter{Source: "archive", VMID: 100}),
	},
	"TaskStatus": {func(ctx context.Context, c *Client) error { _, err := c.TaskStatus(ctx, testUPID); return err }},
	"TaskLog": {
		func(ctx context.Context, c *Client) error { _, err := c.TaskLog(ctx, testUPID, 0, 0); return err },
		func(ctx context.Context, c *Client) error { _, err := c.TaskLog(ctx, testUPID, 50, 500); return err },
	},
}

func do(a PowerAction) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { _, err := c.Power(ctx, ct101, a); return err }
}

func list(f TaskFilter) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { _, err := c.Tasks(ctx, "pve1", f); return err }
}

func gitea() NewContainer {
	return NewContainer{
		Node: "pve1", VMID: 150, OSTemplate: "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst", Hostname: "gitea", Cores: 2, Memory: 1024, Swap: 256,
		Storage: "local-lvm", Disk: 8, Bridge: "vmbr0", IP: "dhcp", Nesting: true,
	}
}

func TestEveryMethodIsInEveryCall(t *testing.T) {
	client := reflect.TypeFor[*Client]()
	for i := range client.NumMethod() {
		m := client.Method(i)
		asks := m.Type.NumIn() > 1 && m.Type.In(1) == reflect.TypeFor[context.Context]()
		if m.Name == "Certificates" {
			continue // a handshake is no call
		}
		if _, listed := everyCall[m.Name]; asks != listed {
			t.Errorf("%s: asks Proxmox: %v, in everyCall: %v", m.Name, asks, listed)
		}
	}
}

func TestEveryRequestFitsTheSchema(t *testing.T) {
	for _, version := range []string{"8.4", "9.1"} {
		t.Run(version, func(t *testing.T) {
			var schema map[string]map[string]method
			if err := json.Unmarshal(reference(t, "pve-schema-"+version+".json"), &schema); err != nil {
				t.Fatal(err)
			}
			for name, calls := range everyCall {
				for i, call := range calls {
					var mu sync.Mutex
					var requests []string
					n := &network{hosts: map[string]host{"pve1": func(r *http.Request) string {
						mu.Lock()
						defer mu.Unlock()
						form, _ := io.ReadAll(r.Body)
						requests = append(requests, r.Method+" "+r.RequestURI)
						if err := checkRequest(schema, r, string(form)); err != nil {
							t.Errorf("%s %d: %v", name, i, err)
						}
						return raw("500 seen", "")
					}}}
					if err := call(t.Context(), n.client(t, "pve1")); err == nil || len(requests) != 1 {
						t.Errorf("%s %d: requests %v, %v", name, i, requests, err)
					}
				}
			}
		})
	}
}

// The check itself must be able to fail.
func TestTheSchemaRefuses(t *testing.T) {
	var schema map[string]map[string]method
	if err := json.Unmarshal(reference(t, "pve-schema-9.1.json"), &schema); err != nil {
		t.Fatal(err)
	}
	for is, bad := range map[string][3]string{
		"an unknown path":           {"GET", "/api2/json/nodes/pve1/lxc/101/exec", ""},
		"an unknown method":         {"POST", "/api2/json/version", ""},
		"a wrong base":              {"GET", "/api/version", ""},
		"an unknown parameter":      {"POST", "/api2/json/nodes/pve1/lxc/101/status/stop", "forceStop=1"},
		"a number out of bounds":    {"GET", "/api2/json/nodes/pve1/lxc/99/config", ""},
		"a number that is none":     {"POST", "/api2/json/nodes/pve1/lxc/101/status/shutdown", "timeout=x"},
		"a fraction":                {"POST", "/api2/json/nodes/pve1/lxc/101/status/shutdown", "timeout=1.5"},
		"a truth that is none":      {"POST", "/api2/json/nodes/pve1/lxc/101/status/shutdown", "forceStop=maybe"},
		"a word not in the list":    {"GET", "/api2/json/nodes/pve1/tasks?source=some", ""},
		"a part that is none":       {"POST", "/api2/json/nodes/pve1/lxc", "vmid=101&ostemplate=local:vztmpl/a.tar.zst&net0=name%3Deth0,speed%3D1"},
		"a body of a DELETE":        {"DELETE", "/api2/json/nodes/pve1/lxc/101", "purge=1"},
		"a missing parameter":       {"POST", "/api2/json/nodes/pve1/lxc/101/snapshot", ""},
		"what is only for a ticket": {"POST", "/api2/json/access/ticket", "username=a&password=b"},
	} {
		t.Run(is, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), bad[0], bad[1], nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := checkRequest(schema, r, bad[2]); err == nil {
				t.Errorf("%v passes", bad)
			} else {
				t.Log(err)
			}
		})
	}
}
