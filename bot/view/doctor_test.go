package view_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/bot/view"
)

// However much is wrong, the message is taken, it can be run again, what is
// left out is counted, and no command loses its end.
func TestADoctorWithMuchToSayFits(t *testing.T) {
	dice := rand.New(rand.NewPCG(6, 15))
	text := func() string { return strings.Repeat(hostile[dice.IntN(len(hostile))], 1+dice.IntN(5)) }
	for n := range 60 {
		var r doctor.Report
		for i := range n {
			c := doctor.Check{Name: fmt.Sprint(i), Title: text(), State: []doctor.State{doctor.Bad, doctor.Warning, doctor.Good}[dice.IntN(3)], Detail: text(), Since: now.Add(-time.Hour)}
			if c.State != doctor.Good {
				c.Fix, c.Command = "Run this:", fmt.Sprintf("pveum role modify pvechat --append 1 --privs X%d.END", i)
			}
			r.Checks = append(r.Checks, c)
		}
		m := view.Doctor{Report: r, Now: now}.Message()
		for platform, render := range map[string]func(chat.Surface) (json.RawMessage, error){"slack": slack.Render, "discord": discord.Render} {
			if err := judges[platform](m); err != nil {
				t.Errorf("%d lines, %s: %v", n, platform, err)
			}
			raw, err := render(m)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(raw), "doctor:run") {
				t.Errorf("%d lines, %s: it cannot be run again", n, platform)
			}
			begun, ended := strings.Count(string(raw), "pveum role"), strings.Count(string(raw), ".END")
			if begun != ended {
				t.Errorf("%d lines, %s: %d commands, %d whole", n, platform, begun, ended)
			}
			if notGood := r.Count(doctor.Bad) + r.Count(doctor.Warning); begun < notGood && !strings.Contains(string(raw), fmt.Sprintf("%d more: ", notGood-begun)) {
				t.Errorf("%d lines, %s: %d of %d are shown, and nothing says so", n, platform, begun, notGood)
			}
		}
	}
}
