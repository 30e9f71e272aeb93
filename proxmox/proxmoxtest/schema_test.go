package proxmoxtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// schema is a node of Proxmox' own description of its API.
type schema struct {
	Type       any               `json:"type"`
	Optional   truth             `json:"optional"`
	Format     any               `json:"format"`
	Minimum    *json.Number      `json:"minimum"`
	Maximum    *json.Number      `json:"maximum"`
	MaxLength  json.Number       `json:"maxLength"`
	Enum       []string          `json:"enum"`
	Pattern    string            `json:"pattern"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
}

type truth bool

func (b *truth) UnmarshalJSON(raw []byte) error {
	*b = strings.Trim(string(raw), `"`) == "1" || string(raw) == "true"
	return nil
}

type method struct {
	Parameters  schema `json:"parameters"`
	Returns     schema `json:"returns"`
	ProxyTo     string `json:"proxyto"`
	Permissions struct {
		Check []any `json:"check"`
	} `json:"permissions"`
}

// published reads the schema that lies beside the repository, where it does.
func published(t *testing.T) map[string]map[string]method {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "..", "shared", "reference", "pve-schema-9.1.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the published schema, ../shared/reference/pve-schema-9.1.json beside the module, is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	var paths map[string]map[string]method
	if err := json.Unmarshal(raw, &paths); err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestTheTablesAgreeWithThePublishedSchema(t *testing.T) {
	paths := published(t)
	for _, call := range proxmoxtest.Calls() {
		t.Run(call.Method+" "+call.Path, func(t *testing.T) {
			m, ok := paths[call.Path][call.Method]
			if !ok {
				t.Fatal("there is no such call")
			}
			want := make(map[string]proxmoxtest.Param)
			for name, p := range m.Parameters.Properties {
				format, _ := p.Format.(string)
				kind, _ := p.Type.(string)
				shown := proxmoxtest.Param{Kind: kind, Format: format, Required: !bool(p.Optional), Enum: p.Enum, Min: whole(t, p.Minimum), Max: whole(t, p.Maximum)}
				shown.Longest, _ = strconv.Atoi(p.MaxLength.String())
				if p.Pattern != "" {
					shown.Pattern = call.Params[name].Pattern // Perl's, written differently
					if shown.Pattern == "" {
						t.Errorf("%s has no pattern, the schema has %s", name, p.Pattern)
					}
				}
				want[name] = shown
			}
			if diff := cmp.Diff(want, call.Params); diff != "" {
				t.Errorf("parameters: %s", diff)
			}
			if call.Node != (m.ProxyTo == "node") {
				t.Errorf("carried out by the node: %v, the schema says %q", call.Node, m.ProxyTo)
			}
			check := []any{}
			if call.Privs != nil {
				privs := []any{}
				for _, p := range call.Privs {
					privs = append(privs, p)
				}
				check = []any{"perm", call.PrivPath, privs}
				if call.AnyPriv {
					check = append(check, "any", 1.0)
				}
			}
			if diff := cmp.Diff(append([]any{}, m.Permissions.Check...), check); diff != "" {
				t.Errorf("privileges: %s", diff)
			}
		})
	}
}

func whole(t *testing.T, n *json.Number) *int64 {
	t.Helper()
	if n == nil {
		return nil
	}
	v, err := n.Int64()
	if err != nil {
		t.Fatal(err)
	}
	return &v
}

// The places where the real server's answers are not what its schema says, and ours are like the real ones.
var knownLies = []string{
	"GET /cluster/nextid: type string, not integer",
	"GET /cluster/tasks[].endtime: undescribed",
	"GET /cluster/tasks[].id: undescribed",
	"GET /cluster/tasks[].node: undescribed",
	"GET /cluster/tasks[].saved: undescribed",
	"GET /cluster/tasks[].starttime: undescribed",
	"GET /cluster/tasks[].status: undescribed",
	"GET /cluster/tasks[].type: undescribed",
	"GET /cluster/tasks[].user: undescribed",
	"GET /nodes/{node}/lxc/{vmid}/config.parent: undescribed",
	"GET /nodes/{node}/lxc/{vmid}/interfaces[].ip-addresses[].prefix: type string, not integer",
	"GET /nodes/{node}/lxc/{vmid}/snapshot[].digest: undescribed",
	"GET /nodes/{node}/lxc/{vmid}/snapshot[].running: undescribed",
	"GET /nodes/{node}/lxc/{vmid}/status/current.pid: undescribed",
	"GET /nodes/{node}/lxc/{vmid}/status/current.pressurecpufull: undescribed",
	"GET /nodes/{node}/lxc/{vmid}/status/current.pressurecpusome: type string, not number",
	"GET /nodes/{node}/lxc/{vmid}/status/current.pressureiofull: type string, not number",
	"GET /nodes/{node}/lxc/{vmid}/status/current.pressureiosome: type string, not number",
	"GET /nodes/{node}/lxc/{vmid}/status/current.pressurememoryfull: type string, not number",
	"GET /nodes/{node}/lxc/{vmid}/status/current.pressurememorysome: type string, not number",
	"GET /nodes/{node}/lxc/{vmid}/status/current.swap: undescribed",
	"GET /nodes/{node}/lxc/{vmid}/status/current.type: undescribed",
	"GET /nodes/{node}/lxc[].pid: undescribed",
	"GET /nodes/{node}/lxc[].pressurecpufull: undescribed",
	"GET /nodes/{node}/lxc[].pressurecpusome: type string, not number",
	"GET /nodes/{node}/lxc[].pressureiofull: type string, not number",
	"GET /nodes/{node}/lxc[].pressureiosome: type string, not number",
	"GET /nodes/{node}/lxc[].pressurememoryfull: type string, not number",
	"GET /nodes/{node}/lxc[].pressurememorysome: type string, not number",
	"GET /nodes/{node}/lxc[].swap: undescribed",
	"GET /nodes/{node}/lxc[].type: undescribed",
	"GET /nodes/{node}/storage/{storage}/content[].content: undescribed",
	"GET /nodes[].disk: undescribed",
	"GET /nodes[].id: undescribed",
	"GET /nodes[].maxdisk: undescribed",
	"GET /nodes[].type: undescribed",
}

func TestTheAnswersAgreeWithThePublishedSchema(t *testing.T) {
	paths := published(t)
	l := start(t, proxmoxtest.Options{})
	proxmoxtest.Populate(l.Server, proxmoxtest.HomelabSize)
	l.AddVM(200, "pve1", "router", true)
	l.Update(101, func(c *container) { c.Pool = "apps" })
	upid, err := l.Act("root@pam", "snapshot", 112)
	if err != nil {
		t.Fatal(err)
	}
	l.ended(upid)
	l.idle()

	found := make(map[string]bool)
	fill := strings.NewReplacer("{node}", "pve1", "{vmid}", "112", "{storage}", "local", "{upid}", upid)
	for _, call := range proxmoxtest.Calls() {
		name := call.Method + " " + call.Path
		var form []string
		if _, ok := call.Params["timeframe"]; ok {
			form = []string{"timeframe=hour"}
		}
		if call.Method != http.MethodGet {
			continue
		}
		a := l.call(call.Method, fill.Replace(call.Path), form...)
		if a.Status != 200 {
			t.Errorf("%s: %d %s", name, a.Status, a.Reason)
			continue
		}
		for _, lie := range disagreements(name, paths[call.Path][call.Method].Returns, a.Data) {
			found[lie] = true
		}
	}
	for _, task := range []struct{ path, call string }{
		{ct101of("pve1") + "/status/shutdown", "POST /nodes/{node}/lxc/{vmid}/status/shutdown"},
		{ct101of("pve1") + "/status/start", "POST /nodes/{node}/lxc/{vmid}/status/start"},
	} {
		verb, path, _ := strings.Cut(task.call, " ")
		data := l.ok("POST", task.path)
		for _, lie := range disagreements(task.call, paths[path][verb].Returns, data) {
			found[lie] = true
		}
		l.idle()
	}

	got := slices.Sorted(maps.Keys(found))
	if diff := cmp.Diff(slices.Sorted(slices.Values(knownLies)), got); diff != "" {
		t.Error(diff)
	}
}

func ct101of(node string) string { return "/nodes/" + node + "/lxc/101" }

// disagreements lists where a value is not what the schema describes.
func disagreements(at string, s schema, v any) []string {
	kind, _ := s.Type.(string)
	is := map[string]bool{}
	switch v := v.(type) {
	case string:
		is["string"] = true
	case float64:
		is["number"] = true
		is["integer"] = v == float64(int64(v))
		is["boolean"] = v == 0 || v == 1
	case []any:
		is["array"] = true
	case map[string]any:
		is["object"] = true
	case nil:
		is["null"] = true
	}
	if kind != "" && !is[kind] {
		return []string{fmt.Sprintf("%s: type %s, not %s", at, strings.Join(slices.Sorted(maps.Keys(is)), "|"), kind)}
	}
	var out []string
	if text, ok := v.(string); ok && s.Enum != nil && !slices.Contains(s.Enum, text) {
		out = append(out, fmt.Sprintf("%s: %q is none of %v", at, text, s.Enum))
	}
	switch v := v.(type) {
	case []any:
		if s.Items == nil {
			break
		}
		for _, item := range v {
			out = append(out, disagreements(at+"[]", *s.Items, item)...)
		}
	case map[string]any:
		if len(s.Properties) == 0 {
			break
		}
		for name, p := range s.Properties {
			if _, ok := v[name]; !ok && !bool(p.Optional) {
				out = append(out, at+"."+name+": missing")
			}
		}
		for name, value := range v {
			p, ok := s.Properties[name]
			if !ok {
				p, ok = s.Properties[strings.TrimRight(name, "0123456789")+"[n]"]
			}
			if !ok {
				out = append(out, at+"."+name+": undescribed")
				continue
			}
			out = append(out, disagreements(at+"."+name, p, value)...)
		}
	}
	return out
}

func TestPayloadsOfTheRealServerHaveOurShape(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "..", "shared", "reference", "payloads", "proxmox")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the recorded payloads, ../shared/reference/payloads/proxmox beside the module, are not here")
	}
	real := func(name string) map[string]any {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	l := start(t, proxmoxtest.Options{})
	l.AddNode("pve1")
	l.AddNode("pve2")
	l.AddContainer(container{VMID: 101, Node: "pve1", Name: "gitea", Running: true, Tags: "prod;web", Pool: "apps", HA: true, Addr: "192.0.2.15/24"})
	l.AddContainer(container{VMID: 102, Node: "pve1", Name: "wiki"})
	l.AddContainer(container{VMID: 103, Node: "pve2"})
	l.AddVM(200, "pve1", "router", true)
	l.SetNode("pve2", false)

	// Every field of a recording must be there, of the same JSON type.
	alike := func(name string, want, got map[string]any, except ...string) {
		t.Helper()
		for k, v := range want {
			if slices.Contains(except, k) {
				continue
			}
			if have, ok := got[k]; !ok || fmt.Sprintf("%T", have) != fmt.Sprintf("%T", v) {
				t.Errorf("%s: %s is %T, in the recording %T", name, k, have, v)
			}
		}
	}
	ours := l.rows("id", "/cluster/resources")
	for _, row := range real("resources.pve9.json")["data"].([]any) {
		want := row.(map[string]any)
		id := want["id"].(string)
		if id == "lxc/104" {
			continue // one more of the same kind
		}
		alike(id, want, ours[id])
		if id == "lxc/103" || id == "node/pve2" {
			if diff := cmp.Diff(keys(want), keys(ours[id])); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		}
	}
	current := l.get("/nodes/pve1/lxc/101/status/current").(map[string]any)
	alike("status/current", real("status_current.pve9.json")["data"].(map[string]any), current)
	alike("ha", real("status_current.pve9.json")["data"].(map[string]any)["ha"].(map[string]any), current["ha"].(map[string]any), "group")
	interfaces := l.rows("name", "/nodes/pve1/lxc/101/interfaces")
	for _, row := range real("interfaces.json")["data"].([]any) {
		want := row.(map[string]any)
		alike("interfaces", want, interfaces[want["name"].(string)])
	}
	alike("nextid", real("nextid.json"), map[string]any{"data": l.get("/cluster/nextid")})

	l.Hold(true)
	upid := l.ok("POST", "/nodes/pve1/lxc/101/status/reboot").(string)
	status := func() map[string]any { return l.get("/nodes/pve1/tasks/" + upid + "/status").(map[string]any) }
	alike("running task", real("task_status.running.json")["data"].(map[string]any), status())
	l.Hold(false)
	l.ended(upid)
	alike("finished task", real("task_status.warnings.json")["data"].(map[string]any), status())
	if diff := cmp.Diff(keys(real("task_status.warnings.json")["data"].(map[string]any)), keys(status())); diff != "" {
		t.Error(diff)
	}

	for _, name := range []string{"error.400.json", "error.403.json", "error.500.old.json"} {
		want := real(name)
		_, line, _ := strings.Cut(want["_status_line"].(string), " ")
		code, reason, _ := strings.Cut(line, " ")
		delete(want, "_status_line")
		version, status := "9.2.2", atoi(t, code)
		if _, ok := want["message"]; !ok {
			version = "8.2.4"
		}
		old := start(t, proxmoxtest.Options{Version: version})
		old.AddContainer(container{VMID: 101, Running: true})
		old.Token(bot, "secret", map[string][]string{"/": {"VM.Audit", "VM.Allocate", "VM.PowerMgmt"}})
		var a answer
		switch status {
		case 400:
			a = old.refuse(status, reason, "GET", ct101+"/config", "snapshot=a b")
		case 403:
			old.Token(bot, "secret", nil)
			a = old.refuse(status, reason, "POST", ct101+"/status/start")
		default:
			a = old.refuse(status, reason, "POST", ct101+"/status/start")
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(a.Raw), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(keys(want), keys(got)); diff != "" || got["message"] != want["message"] {
			t.Errorf("%s: %s", name, a.Raw)
		}
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
