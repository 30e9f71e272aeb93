package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
)

// DoctorCmd examines all that pvechat stands on. It works beside a running
// bot, and changes nothing.
type DoctorCmd struct {
	JSON bool `help:"Print JSON."`
}

// Run implements the command.
func (c DoctorCmd) Run(ctx context.Context, app *App) error {
	cfg, err := app.config()
	if err != nil {
		return err
	}
	cfg.Log.Level = "error" // its findings say it all
	report, err := daemon.Examine(ctx, cfg, daemon.NewLog(cfg.Log, app.stderr))
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(app.stdout, report)
	} else {
		err = printReport(app.stdout, report)
	}
	if err == nil && !report.OK() {
		err = errors.New("something is wrong")
	}
	return err
}

// doctorLine is a check as it is printed in JSON.
type doctorLine struct {
	Name   string       `json:"name"`
	State  doctor.State `json:"state"`
	Detail string       `json:"detail"`
	Fix    string       `json:"fix"`
}

func printJSON(w io.Writer, r doctor.Report) error {
	out := struct {
		OK     bool         `json:"ok"`
		Checks []doctorLine `json:"checks"`
	}{OK: r.OK(), Checks: []doctorLine{}}
	for _, c := range r.Checks {
		out.Checks = append(out.Checks, doctorLine{c.Name, c.State, c.Title + ": " + c.Detail, remedy(c)})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

// remedy is what to do, with what is to be run.
func remedy(c doctor.Check) string { return strings.TrimSpace(c.Fix + " " + c.Command) }

// marks are as wide as each other.
var marks = map[doctor.State]string{doctor.Bad: "wrong  ", doctor.Warning: "warning", doctor.Good: "good   "}

func printReport(w io.Writer, r doctor.Report) error {
	for _, c := range r.Checks {
		printCheck(w, c)
	}
	_, err := fmt.Fprintf(w, "%d wrong, %d to mind, %d good\n", r.Count(doctor.Bad), r.Count(doctor.Warning), r.Count(doctor.Good))
	return err
}

func printCheck(w io.Writer, c doctor.Check) {
	fmt.Fprintf(w, "%s  %s: %s\n", marks[c.State], c.Title, oneLine(c.Detail))
	if fix := remedy(c); fix != "" {
		fmt.Fprintf(w, "         → %s\n", fix)
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
