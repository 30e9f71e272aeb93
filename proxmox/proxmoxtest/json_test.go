package proxmoxtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestABodyMayBeJSON(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		errors     map[string]string
	}{
		{"with a boolean and a number", `{"forceStop":true,"timeout":5}`, 200, nil},
		{"with strings", `{"forceStop":"0","timeout":"5"}`, 200, nil},
		{"with null", `{"timeout":null}`, 200, nil},
		{"with a list", `{"timeout":[1]}`, 400, map[string]string{"timeout": "type check ('integer') failed - got ARRAY"}},
		{"with an object", `{"timeout":{}}`, 400, map[string]string{"timeout": "type check ('integer') failed - got HASH"}},
		{"with a boolean for a number", `{"timeout":true}`, 400, map[string]string{"timeout": "type check ('integer') failed - got JSON::PP::Boolean"}},
		{"that is broken", `{`, 500, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := start(t, proxmoxtest.Options{})
			l.AddContainer(container{VMID: 101, Running: true})
			req, err := http.NewRequest(http.MethodPost, l.URL()+"/api2/json"+ct101+"/status/shutdown", strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json; charset=utf-8")
			a, err := l.send(req)
			if err != nil || a.Status != test.status || cmp.Diff(test.errors, a.Errors) != "" {
				t.Errorf("%+v, %v", a, err)
			}
			l.idle()
		})
	}
}
