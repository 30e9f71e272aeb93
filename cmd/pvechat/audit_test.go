package main

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/storage/seal"
)

func TestTheAuditIsExportedAndVerified(t *testing.T) {
	file := write(t, config+"keyset_file: keys.json\n")
	dir := filepath.Dir(file)
	if err := seal.Generate(filepath.Join(dir, "keys.json")); err != nil {
		t.Fatal(err)
	}
	cfg, err := daemon.Load(file, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	db, err := daemon.OpenStorage(t.Context(), cfg, daemon.NewLog(cfg.Log, t.Output()), false)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := daemon.Keys(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db.UseKeys(keys)
	if err := db.Check(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"start", "stop", "delete"} {
		if err := db.Record(t.Context(), handlers.Entry{At: time.Now(), Platform: "slack", PersonID: "U1", Person: "Ana <b>", Action: action, Outcome: "ok"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	code, out, _ := pvechat(t, "audit", "export", "-c", file)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 3 {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	var last struct {
		Seq            int
		Person, Action string
		PersonID       string `json:"person_id"`
		MAC            string
	}
	if err := json.Unmarshal([]byte(lines[2]), &last); err != nil || last.Seq != 3 || last.Person != "Ana <b>" || last.PersonID != "U1" || last.Action != "delete" || last.MAC == "" {
		t.Errorf("%+v, %v", last, err)
	}
	export := filepath.Join(dir, "audit.jsonl")
	if err := os.WriteFile(export, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"audit", "verify", "-c", file}, {"audit", "verify", "-c", file, export}} {
		if code, out, errs := pvechat(t, args...); code != 0 || !strings.Contains(out, "with the key set: 3") || !strings.HasSuffix(out, "whole\n") {
			t.Errorf("%v: exit %d:\n%s%s", args, code, out, errs)
		}
	}

	raw, err := sql.Open("sqlite", filepath.Join(dir, "pvechat.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec("UPDATE audit SET person = 'Eve' WHERE seq = 2"); err == nil {
		t.Error("the database let a line be changed")
	}
	if _, err := raw.Exec("DROP TRIGGER audit_keeps; UPDATE audit SET person = 'Eve' WHERE seq = 2"); err != nil {
		t.Fatal(err)
	}
	code, out, errs := pvechat(t, "audit", "verify", "-c", file)
	if code != exitFailed || !strings.Contains(out, "wrong: line 2 was changed") || !strings.Contains(out, "trigger audit_keeps is missing") || !strings.Contains(errs, "2 finding(s)") {
		t.Errorf("exit %d:\n%s%s", code, out, errs)
	}
	if _, err := raw.Exec("DROP TRIGGER audit_stays; DELETE FROM audit WHERE seq = 2"); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := pvechat(t, "audit", "verify", "-c", file); code != exitFailed || !strings.Contains(out, "wrong: line 2 is missing") {
		t.Errorf("exit %d:\n%s%s", code, out, errs)
	}
	if strings.Contains(out+errs, "canary") {
		t.Error("it prints a secret")
	}
}
