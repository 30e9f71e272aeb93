package discord

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

const (
	heartbeat     = 41250 * time.Millisecond
	afterAStall   = 2*heartbeat + 10*time.Second
	afterAnything = 30 * time.Second
)

func TestAfterEveryFaultThereIsAFreshSessionInTime(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  func(s *discordtest.Server)
		within time.Duration
	}{
		"heartbeats are not acknowledged": {func(s *discordtest.Server) {
			s.SilenceHeartbeats(true)
			time.AfterFunc(2*heartbeat, func() { s.SilenceHeartbeats(false) })
		}, afterAStall},
		"nothing is sent any more": {func(s *discordtest.Server) {
			s.Deafen(true)
			time.AfterFunc(65*time.Second, func() { s.Deafen(false) }) // after the second heartbeat, before its end
		}, afterAStall},
		"a Resume would not be answered": {func(s *discordtest.Server) { s.StallResume(true); s.CloseGateway(4000) }, afterAnything},
		"asked to reconnect":             {func(s *discordtest.Server) { s.Reconnect() }, afterAnything},
		"asked to reconnect in the handshake": {func(s *discordtest.Server) {
			s.ReconnectInHandshake(1)
			s.CloseGateway(4000)
		}, afterAnything},
		"the session is invalid":            {func(s *discordtest.Server) { s.InvalidSession(1, false); s.CloseGateway(4009) }, afterAnything},
		"the session is invalid, resumable": {func(s *discordtest.Server) { s.InvalidSession(1, true); s.CloseGateway(4009) }, afterAnything},
		"two sessions in five seconds": {func(s *discordtest.Server) {
			s.StrictLimits(true)
			s.CloseGateway(4000)
			time.AfterFunc(2*time.Second, func() { s.CloseGateway(4000) })
		}, afterAnything},
		"the gateway refuses connections": {func(s *discordtest.Server) {
			s.RefuseGateway(true)
			s.CloseGateway(1012)
			time.AfterFunc(10*time.Second, func() { s.RefuseGateway(false) })
		}, afterAnything},
		"its address is not told": {func(s *discordtest.Server) {
			s.Fail("GET /gateway", 503, 0, 3)
			s.CloseGateway(1012)
		}, afterAnything},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			s := newScene(t, func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{Now: say("hello")} })
			time.Sleep(heartbeat / 2)
			before := s.sim.Identifies()
			tt.fault(s.sim)
			time.Sleep(tt.within)
			synctest.Wait()
			if h := s.Health(); !h.OK || s.sim.Connected() != 1 {
				t.Errorf("after %s: health %+v, %d connected", tt.within, h, s.sim.Connected())
			}
			if n := s.sim.Identifies() - before; n < 1 || n > 5 {
				t.Errorf("%d sessions were begun", n)
			}
			if warned := strings.Contains(s.logs.String(), `"level":"WARN"`); warned == (name == "asked to reconnect") {
				t.Errorf("it is warned of: %t", warned)
			}
			s.typed(anaID, ops, "help", nil)
			s.sees(ops, anaID, "hello")
		}))
	}
}

func TestAnAnswerWhoseAnswerIsLostIsShownOnce(t *testing.T) {
	inBubble(func(t *testing.T) {
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{Now: say("hello")} })
		s.sim.LoseAnswer("POST /interactions/", 1)
		s.typed(anaID, ops, "help", nil)
		time.Sleep(5 * time.Second)
		s.sees(ops, anaID, "hello")
		if n := len(s.sim.Messages(ops, anaID)); n != 1 {
			t.Errorf("%d messages", n)
		}
		for _, r := range s.sim.Requests() {
			if r.Status == 400 && r.Route != "POST /interactions/{interaction}/{token}/callback" {
				t.Errorf("%s: %s", r.Route, r.Response)
			}
		}
	})(t)
}
