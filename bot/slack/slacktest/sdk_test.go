package slacktest_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// sdk runs slack-go against a server inside a bubble of testing/synctest.
type sdk struct {
	api    *slack.Client
	client *socketmode.Client
	web    *http.Client
	opened int // connections that said hello
}

func newSDK(t *testing.T, p *wiretest.Network, s *slacktest.Server, handle func(*sdk, socketmode.Event)) *sdk {
	t.Helper()
	transport := &http.Transport{DialContext: p.Dial}
	web := &http.Client{Transport: transport}
	k := &sdk{web: web}
	k.api = slack.New("xoxb-test", slack.OptionAppLevelToken("xapp-test"), slack.OptionAPIURL(s.APIURL()), slack.OptionHTTPClient(web))
	k.client = socketmode.New(k.api, socketmode.OptionDialer(&websocket.Dialer{NetDialContext: p.Dial}))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = k.client.RunContext(ctx) })
	wg.Go(func() {
		for {
			select {
			case e := <-k.client.Events:
				if e.Type == socketmode.EventTypeHello {
					k.opened++
				}
				handle(k, e)
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		s.Close()
		wg.Wait()
		transport.CloseIdleConnections()
	})
	return k
}

func inBubble(t *testing.T, opts slacktest.Options, handle func(*sdk, socketmode.Event), test func(t *testing.T, s *slacktest.Server, k *sdk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := wiretest.New()
		opts.Listener = p
		s := slacktest.New(opts)
		s.AddUser(ana, "ana")
		s.AddChannel(ops, "ops", true, ana)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		k := newSDK(t, p, s, handle)
		if err := s.AwaitConnections(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		test(t, s, k)
	})
}

// TestTheSDKStaysConnectedWhileNothingHappens lets two minutes pass. The SDK
// reconnects when it hears no ping for 30 s, which the second half shows.
func TestTheSDKStaysConnectedWhileNothingHappens(t *testing.T) {
	nothing := func(*sdk, socketmode.Event) {}
	inBubble(t, slacktest.Options{}, nothing, func(t *testing.T, s *slacktest.Server, k *sdk) {
		time.Sleep(2 * time.Minute) // of the bubble
		synctest.Wait()
		if k.opened != 1 {
			t.Errorf("%d connections, want 1", k.opened)
		}
		s.SilencePings(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if k.opened < 2 {
			t.Errorf("%d connections without pings, want more than 1", k.opened)
		}
	})
}

// TestTheSDKOverEverything goes from a command to a form and back.
func TestTheSDKOverEverything(t *testing.T) {
	handle := func(k *sdk, e socketmode.Event) {
		ctx := context.Background()
		switch data := e.Data.(type) {
		case slack.SlashCommand:
			_ = k.client.Ack(*e.Request)
			_, _, _ = k.api.PostMessageContext(ctx, data.ChannelID, slack.MsgOptionText("board", false), slack.MsgOptionBlocks(
				slack.NewActionBlock("", slack.NewButtonBlockElement("delete", "7", slack.NewTextBlockObject("plain_text", "Delete…", true, false))),
			))
			_ = slack.PostWebhookCustomHTTPContext(ctx, data.ResponseURL, k.web, &slack.WebhookMessage{Text: "here you are"})
		case slack.InteractionCallback:
			switch data.Type {
			case slack.InteractionTypeBlockActions:
				_ = k.client.Ack(*e.Request)
				field := slack.NewPlainTextInputBlockElement(nil, "v")
				_, err := k.api.OpenViewContext(ctx, data.TriggerID, slack.ModalViewRequest{
					Type: slack.VTModal, Title: slack.NewTextBlockObject("plain_text", "Delete", false, false),
					Submit: slack.NewTextBlockObject("plain_text", "Delete for good", false, false),
					Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewInputBlock("name", slack.NewTextBlockObject("plain_text", "Name", false, false), nil, field)}},
				})
				if err != nil {
					panic(err)
				}
			case slack.InteractionTypeViewSubmission:
				if data.View.State.Values["name"]["v"].Value != "gitea" {
					_ = k.client.Ack(*e.Request, slack.NewErrorsViewSubmissionResponse(map[string]string{"name": "is not its name"}))
					return
				}
				_ = k.client.Ack(*e.Request)
			}
		}
	}
	inBubble(t, slacktest.Options{}, handle, func(t *testing.T, s *slacktest.Server, k *sdk) {
		ctx := t.Context()
		if _, err := s.Command(ctx, ana, ops, ""); err != nil {
			t.Fatal(err)
		}
		if err := s.Await(ctx, "board and answer", func() bool { return len(s.Messages(ops, ana)) == 2 }); err != nil {
			t.Fatal(err)
		}
		board := s.Messages(ops, ana)[0]
		if _, err := s.Click(ctx, ana, slacktest.At{Channel: ops, TS: board.TS}, "delete"); err != nil {
			t.Fatal(err)
		}
		if err := s.Await(ctx, "the form", func() bool { return len(s.Views(ana)) == 1 }); err != nil {
			t.Fatal(err)
		}
		view := s.Views(ana)[0].ID
		if out, err := s.Submit(ctx, ana, view, map[string]string{"name": "wiki"}); err != nil || out.Errors["name"] != "is not its name" {
			t.Errorf("%+v, %v", out, err)
		}
		if out, err := s.Submit(ctx, ana, view, map[string]string{"name": "gitea"}); err != nil || len(out.Errors) != 0 {
			t.Errorf("%+v, %v", out, err)
		}
		if got := s.Views(ana); len(got) != 0 {
			t.Errorf("still open: %v", titles(got))
		}
		if got := s.Unexpected(); len(got) != 0 {
			t.Errorf("unexpected: %q", got)
		}
	})
}

func TestTheSDKUnderstandsRefusals(t *testing.T) {
	nothing := func(*sdk, socketmode.Event) {}
	inBubble(t, slacktest.Options{}, nothing, func(t *testing.T, s *slacktest.Server, k *sdk) {
		ctx := t.Context()
		long := slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", chars(3001), false, false), nil, nil)
		_, _, err := k.api.PostMessageContext(ctx, ops, slack.MsgOptionBlocks(long))
		var refused slack.SlackErrorResponse
		if !errors.As(err, &refused) || refused.Err != "invalid_blocks" || len(refused.ResponseMetadata.Messages) != 1 {
			t.Errorf("err = %v (%+v)", err, refused)
		}
		s.RateLimit("chat.postMessage", 1, 7*time.Second)
		_, _, err = k.api.PostMessageContext(ctx, ops, slack.MsgOptionText("x", false))
		var limited *slack.RateLimitedError
		if !errors.As(err, &limited) || limited.RetryAfter != 7*time.Second {
			t.Errorf("err = %v", err)
		}
		if members, err := k.api.GetUserGroupMembersContext(ctx, "S0NONE001"); err == nil || err.Error() != "no_such_subteam" {
			t.Errorf("%v, %v", members, err)
		}
		if u, err := k.api.GetUserInfoContext(ctx, ana); err != nil || u.Name != "ana" {
			t.Errorf("%+v, %v", u, err)
		}
		s.Disconnect("refresh_requested")
		if err := s.Await(ctx, "the SDK to come back", func() bool { return len(s.Connections()) == 1 }); err != nil {
			t.Error(err)
		}
	})
}
