package proxmox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
	"weak"

	"github.com/google/go-cmp/cmp"
)

// Every version of Proxmox, and sometimes every answer, has its own idea of
// the type of a number.
func TestNumbersAndTruthComeInManyShapes(t *testing.T) {
	for _, test := range []struct {
		is       string
		template string // JSON
		want     bool
	}{
		{"1", `1`, true},
		{"0", `0`, false},
		{"1 as text", `"1"`, true},
		{"0 as text", `"0"`, false},
		{"true", `true`, true},
		{"false", `false`, false},
		{"yes", `"yes"`, true},
		{"off", `"off"`, false},
		{"an empty text", `""`, false},
		{"null", `null`, false},
	} {
		t.Run("a truth that is "+test.is, func(t *testing.T) {
			c := container(t, `"template":`+test.template)
			if c.Template != test.want {
				t.Errorf("it is %v", c.Template)
			}
		})
	}
	for _, test := range []struct {
		is   string
		json string
		cpu  float64
		mem  int64
	}{
		{"whole", `2`, 2, 2},
		{"whole, as text", `"2"`, 2, 2},
		{"a fraction", `0.75`, 0.75, 0},
		{"a fraction, as text", `"0.75"`, 0.75, 0},
		{"with an exponent", `2e3`, 2000, 2000},
		{"with an escape", `"\u0032"`, 2, 2},
		{"true", `true`, 1, 1},
		{"false", `false`, 0, 0},
		{"an empty text", `""`, 0, 0},
		{"null", `null`, 0, 0},
		{"a little below zero", `-5.75e-05`, 0, 0},
		{"below zero", `-4096`, 0, 0},
		{"below zero, as text", `"-4096"`, 0, 0},
		{"of 18 digits", `999999999999999999`, 999999999999999999, 999999999999999999},
		{"of 19 digits", `4611686018427387904`, 4611686018427387904, 4611686018427387904},
	} {
		t.Run("a number that is "+test.is, func(t *testing.T) {
			c := container(t, `"cpu":`+test.json+`,"mem":`+test.json)
			if c.CPU != test.cpu || math.Signbit(c.CPU) || c.Mem != test.mem {
				t.Errorf("it is %v and %v", c.CPU, c.Mem)
			}
		})
	}
}

// container decodes one container with the given members.
func container(t *testing.T, members string) Container {
	t.Helper()
	res, err := resources(`{"data":[{"type":"lxc","vmid":101,` + members + `}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Containers) != 1 {
		t.Fatalf("%d containers", len(res.Containers))
	}
	return res.Containers[0]
}

func resources(body string) (Resources, error) {
	var res Resources
	field, err := decode([]byte(body), &request{data: res.read})
	if err != nil {
		return res, &DecodeError{Field: field, Err: err}
	}
	return res, nil
}

func TestRowsOfAllKinds(t *testing.T) {
	res, err := resources(`{"total":3,"data":[
		{"hastate":"started","pool":"apps","tags":"prod;web","lock":"backup","uptime":12,"disk":3,"maxdisk":4,"mem":1,"maxmem":2,
		 "cpu":0.5,"maxcpu":2,"template":0,"name":"gitea","status":"running","node":"pve1","vmid":101,"id":"lxc/101","type":"lxc","netin":7,"new":{"a":[1]}},
		{"id":"lxc/102","vmid":"102","node":"pve1","type":"lxc","status":"stopped","template":"","lock":"","disk":"0"},
		{"id":"lxc/103","node":"pve2","type":"lxc","status":"unknown"},
		{"id":"qemu/200","vmid":200,"node":"pve1","type":"qemu","status":"running","name":"router"},
		{"id":"node/pve1","node":"pve1","type":"node","status":"online","cpu":0.1,"maxcpu":8,"mem":5,"maxmem":6,"uptime":7,"level":""},
		{"id":"storage/pve1/nfs","storage":"nfs","node":"pve1","type":"storage","status":"available","plugintype":"nfs","content":"rootdir","shared":1,"disk":8,"maxdisk":9},
		{"id":"sdn/pve1/localnetwork","sdn":"localnetwork","node":"pve1","type":"sdn","status":"ok"},
		{"id":"network/pve1/zone/x","type":"network","node":"pve1"}
	]}`)
	if err != nil {
		t.Fatal(err)
	}
	want := Resources{
		Containers: []Container{
			{
				VMID: 101, Node: "pve1", Name: "gitea", Status: "running", Lock: "backup", Tags: "prod;web", Pool: "apps", HAState: "started",
				CPU: 0.5, MaxCPU: 2, Mem: 1, MaxMem: 2, Disk: 3, MaxDisk: 4, Uptime: 12,
			},
			{VMID: 102, Node: "pve1", Status: "stopped"},
			{VMID: 103, Node: "pve2", Status: "unknown"},
		},
		Nodes:    []Node{{Name: "pve1", Status: "online", CPU: 0.1, MaxCPU: 8, Mem: 5, MaxMem: 6, Uptime: 7}},
		Storages: []Storage{{Name: "nfs", Node: "pve1", Status: "available", Plugin: "nfs", Content: "rootdir", Shared: true, Used: 8, Size: 9}},
	}
	if diff := cmp.Diff(want, res); diff != "" {
		t.Error(diff)
	}
}

func TestTextsComeWhole(t *testing.T) {
	for _, test := range []struct{ is, json, want string }{
		{"plain", `"gitea"`, "gitea"},
		{"with escapes", `"a\"b\\c\n\u00e9\ud83d\ude00"`, "a\"b\\c\né😀"},
		{"not ASCII", `"é😀"`, "é😀"},
		{"not UTF-8", "\"a\xffb\"", "a\ufffdb"},
		{"half a pair", `"a\ud83db"`, "a\ufffdb"},
		{"of digits, as a number", `123`, "123"},
		{"null", `null`, ""},
	} {
		t.Run(test.is, func(t *testing.T) {
			c := container(t, `"name":`+test.json+`,"tags":`+test.json)
			if c.Name != test.want || c.Tags != test.want {
				t.Errorf("it is %q and %q", c.Name, c.Tags)
			}
		})
	}
	if c := container(t, `"n\u0061me":"escaped"`); c.Name != "escaped" {
		t.Errorf("the member with an escape in its name is %q", c.Name)
	}
}

func TestBadAnswersAreNamed(t *testing.T) {
	for _, test := range []struct{ is, body, field string }{
		{"a word for a number", `{"data":[{"type":"node"},{"type":"lxc","vmid":101,"cpu":"much"}]}`, "/data/1/cpu"},
		{"a number that is none", `{"data":[{"cpu":"NaN"}]}`, "/data/0/cpu"},
		{"a number without end", `{"data":[{"cpu":1e999}]}`, "/data/0/cpu"},
		{"a size that is none", `{"data":[{"mem":"nan"}]}`, "/data/0/mem"},
		{"a size beyond all sizes", `{"data":[{"mem":9223372036854775808}]}`, "/data/0/mem"},
		{"a list for a number", `{"data":[{"mem":[]}]}`, "/data/0/mem"},
		{"an object for a text", `{"data":[{"name":{}}]}`, "/data/0/name"},
		{"a word for a truth", `{"data":[{"template":"maybe"}]}`, "/data/0/template"},
		{"a container without a VMID", `{"data":[{"type":"lxc","node":"pve1"}]}`, "/data/0/vmid"},
		{"a container with a bad VMID", `{"data":[{"type":"lxc"},{"type":"lxc","id":"lxc/7"}]}`, "/data/0/vmid"},
		{"a VMID beyond all", `{"data":[{"vmid":99999999999}]}`, "/data/0/vmid"},
		{"a row that is a number", `{"data":[{"type":"node"},7]}`, "/data/1"},
		{"an object of rows", `{"data":{"0":{}}}`, "/data"},
		{"no rows at all", `{"data":null}`, "/data"},
		{"no data", `{}`, "/data"},
		{"a list", `[]`, ""},
		{"null", `null`, "/data"},
		{"nothing", ``, ""},
		{"a page of a proxy", `<html>`, ""},
		{"half an answer", `{"data":[{"type":"lxc","vmid":101}`, "/data"},
		{"half a text", `{"data":[{"name":"abc`, "/data/0/name"},
		{"something after the answer", `{"data":[]} x`, ""},
		{"two answers", `{"data":[]}{}`, ""},
		{"a missing comma", `{"data":[{"type":"lxc" "vmid":101}]}`, "/data/0"},
		{"a comma too many", `{"data":[{"type":"node"},]}`, "/data"},
		{"a bare word", `{"data":[{"cpu":nan}]}`, "/data/0/cpu"},
		{"a bad escape", `{"data":[{"name":"\x"}]}`, "/data/0/name"},
		{"a bad escape in what is skipped", `{"data":[{"netin":"\x"}]}`, "/data/0/netin"},
		{"a line end in a text", "{\"data\":[{\"name\":\"a\nb\"}]}", "/data/0/name"},
		{"a leading zero", `{"data":[{"mem":01}]}`, "/data/0"},
	} {
		t.Run(test.is, func(t *testing.T) {
			res, err := resources(test.body)
			e, ok := errors.AsType[*DecodeError](err)
			if !ok {
				t.Fatalf("it is taken for %+v", res)
			}
			if e.Field != test.field {
				t.Errorf("named %q: %v", e.Field, e)
			}
			if strings.Contains(err.Error(), "much") || strings.Contains(err.Error(), "maybe") {
				t.Errorf("the error repeats what the server said: %v", err)
			}
		})
	}
}

func TestTheAnswerIsNotKeptByWhatWasReadFromIt(t *testing.T) {
	kept, body := func() (Resources, weak.Pointer[byte]) {
		var res Resources
		b := cluster(50)
		if _, err := decode(b, &request{data: res.read}); err != nil {
			t.Fatal(err)
		}
		return res, weak.Make(&b[0])
	}()
	runtime.GC()
	if body.Value() != nil {
		t.Error("the body is still held")
	}
	runtime.KeepAlive(kept)
}

func TestTenThousandContainersAllArrive(t *testing.T) {
	c := one(t, ok(string(cluster(10_000))))
	res, err := c.Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]bool)
	for _, ct := range res.Containers {
		seen[ct.VMID] = true
	}
	if len(seen) != 10_000 || len(res.Nodes) != 10 || len(res.Storages) != 10 {
		t.Fatalf("%d containers, %d nodes, %d storages", len(seen), len(res.Nodes), len(res.Storages))
	}
}

// readers are all that reads an answer.
func readers() map[string]func() *request {
	return map[string]func() *request{
		"resources": func() *request { return &request{data: new(Resources).read} },
		"config":    func() *request { return &request{data: new(ContainerConfig).read} },
		"status":    func() *request { return &request{data: new(ContainerStatus).read} },
		"task":      func() *request { return &request{data: new(TaskStatus).read} },
		"tasks": func() *request {
			return &request{data: func(r *reader) {
				for range r.array() {
					readTask(r)
				}
			}}
		},
		"interfaces": func() *request {
			return &request{nullable: true, data: func(r *reader) {
				for range r.array() {
					readInterface(r)
				}
			}}
		},
		"snapshots": func() *request {
			return &request{data: func(r *reader) {
				for range r.array() {
					readSnapshot(r)
				}
			}}
		},
	}
}

// No reader panics, hangs, or takes for an answer what encoding/json does not
// take for JSON; and what is read is fit to be shown and counted.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		string(cluster(3)), `{"data":null}`, `{"data":[{"type":"lxc","id":"lxc/100"}]}`, `{"data":{"status":"stopped","ha":{"managed":"1"}}}`,
		`{"data":{"rootfs":"local:100/x.raw,size=8G","net0":"name=eth0,ip=dhcp","mp0":"/srv,mp=/srv"}}`,
		`{"data":[{"name":"lo","inet":"127.0.0.1/8","ip-addresses":[{"ip-address":"::1","prefix":"128"}]}]}`,
		`{"data":[{"name":"a\ud800","snaptime":"1"}]}`, "{\"data\":[\xff]}", `{"data":[[[[[[`, `{"data":{"a":1,"a":{}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, req := range readers() {
			field, err := decode(append([]byte(nil), body...), req())
			if err == nil && !json.Valid(body) {
				t.Errorf("%s: taken for JSON", name)
			}
			if err != nil && err.Error() == "" || !utf8.ValidString(field) {
				t.Errorf("%s: %q %v", name, field, err)
			}
		}
		var res Resources
		if _, err := decode(body, &request{data: res.read}); err != nil {
			return
		}
		for _, c := range res.Containers {
			for _, text := range []string{c.Name, c.Node, c.Status, c.Tags, c.Lock, c.Pool, c.HAState} {
				if !utf8.ValidString(text) {
					t.Errorf("not UTF-8: %q", text)
				}
			}
			if !validVMID(c.VMID) || c.CPU < 0 || math.IsNaN(c.CPU) || math.IsInf(c.CPU, 0) || min(c.Mem, c.MaxMem, c.Disk, c.MaxDisk, c.Uptime) < 0 {
				t.Errorf("no container: %s", fmt.Sprintf("%+v", c))
			}
		}
	})
}
