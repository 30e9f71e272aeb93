package proxmoxtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestDownRefusesConnectionsAndComesBackAtTheSameAddress(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.get("/version")
	before := l.URL()
	l.Down(true)
	if _, err := l.try("GET", "/version"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v, want a refused connection", err)
	}
	l.Down(false)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := l.try("GET", "/version"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if l.URL() != before {
		t.Errorf("URL %s, was %s", l.URL(), before)
	}
}

func TestDownCutsConnectionsOfAListenerThatCannotBeOpenedAgain(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.Down(true)
		if a, err := l.try("GET", "/version"); err == nil {
			t.Errorf("answered %+v", a)
		}
		l.Recover()
		l.get("/version")
	})
}

func TestStallAcceptsAndNeverAnswers(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(proxmoxtest.Container{VMID: 101})
		l.Stall(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, l.URL()+"/api2/json/nodes/pve/lxc/101/status/start", nil)
		if _, err := l.send(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if n := l.Count("POST", "/nodes/pve/lxc/101/status/start"); n != 1 {
			t.Errorf("%d requests were seen", n)
		}
		l.Stall(false)
		synctest.Wait()
		if tasks := l.Tasks(); len(tasks) != 0 {
			t.Errorf("a stalled request was carried out: %v", tasks)
		}
		l.get("/version")
	})
}

func TestAStalledRequestLosesItsConnectionWhenTheStallEnds(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.Stall(true)
		failed := make(chan error)
		go func() {
			_, err := l.try("POST", "/nodes/pve/lxc/101/status/start")
			failed <- err
		}()
		synctest.Wait()
		l.Stall(false)
		if err := <-failed; err == nil {
			t.Error("it was answered")
		}
	})
}

func TestFailAnswersInsteadOfCarryingOut(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(proxmoxtest.Container{VMID: 101, Running: true})
	l.Fail("POST", "/nodes/*/lxc/101/status/stop", 500, "out of memory", 1)
	l.Fail("", "/cluster/resources", 596, "Broken pipe", 1)
	l.Fail("GET", "/version", 502, "Bad Gateway", 2)
	l.Fail("GET", "/nodes", 401, "Authentication failed!", 1)
	if a := l.refuse(500, "out of memory", "POST", "/nodes/pve/lxc/101/status/stop"); a.Message != "out of memory\n" {
		t.Errorf("%+v", a)
	}
	if a := l.refuse(596, "Broken pipe", "GET", "/cluster/resources"); a.Raw != "" {
		t.Errorf("body %q", a.Raw)
	}
	l.refuse(502, "Bad Gateway", "GET", "/version")
	if a := l.refuse(502, "Bad Gateway", "GET", "/version"); !strings.HasPrefix(a.Raw, "<html>") {
		t.Errorf("body %q", a.Raw)
	}
	l.refuse(401, "Authentication failed!", "GET", "/nodes")
	if len(l.Tasks()) != 0 {
		t.Errorf("tasks %v", l.Tasks())
	}
	l.get("/version")
	l.get("/nodes")
	l.get("/cluster/resources")
	l.Fail("GET", "/version", 500, "x", -1)
	for range 3 {
		l.refuse(500, "x", "GET", "/version")
	}
	l.Recover()
	l.get("/version")
}

func TestCutLosesTheAnswerOfAWriteThatWasCarriedOut(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(proxmoxtest.Container{VMID: 101})
	l.CutAfterBytes("POST", "/nodes/pve/lxc/101/status/start", 0, 1)
	if a, err := l.try("POST", "/nodes/pve/lxc/101/status/start"); err == nil {
		t.Fatalf("answered %+v", a)
	}
	l.idle()
	tasks := l.Tasks()
	if len(tasks) != 1 || tasks[0].Exit != "OK" || !l.running(101) {
		t.Errorf("tasks %+v", tasks)
	}
	l.CutAfterBytes("GET", "/version", 260, 1)
	if a, err := l.try("GET", "/version"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half an answer: %+v, %v", a, err)
	}
	for _, r := range l.Requests() {
		if r.Status != 0 {
			t.Errorf("a request whose answer was cut has a status: %+v", r)
		}
	}
	l.get("/version")
}

func TestThreeRequestsAreWorkedOnAtOnce(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.Latency(2 * time.Second)
		began := time.Now()
		var all sync.WaitGroup
		for range 7 {
			all.Go(func() { l.get("/version") })
		}
		all.Wait()
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("7 requests of 2 s took %v", took)
		}
	})
}

func TestCloseEndsWaits(t *testing.T) {
	s := proxmoxtest.New(proxmoxtest.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		_, err := s.AwaitTask(context.Background(), func(proxmoxtest.Task) bool { return false })
		got <- err
	}()
	s.Close()
	s.Close()
	if err := <-got; !errors.Is(err, proxmoxtest.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if err := s.Start(); !errors.Is(err, proxmoxtest.ErrClosed) {
		t.Errorf("a closed server started: %v", err)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	var s proxmoxtest.Server
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.AwaitTask(ctx, func(proxmoxtest.Task) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestFreezeHoldsARequestBeforeItIsCarriedOutOrItsAnswerAfter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		freeze func(s *proxmoxtest.Server, method, path string) *proxmoxtest.Frozen
		tasks  int
	}{
		{"before", (*proxmoxtest.Server).Freeze, 0},
		{"after", (*proxmoxtest.Server).FreezeAnswer, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t, proxmoxtest.Options{})
			l.AddContainer(proxmoxtest.Container{VMID: 101})
			l.AddContainer(proxmoxtest.Container{VMID: 102})
			frozen := tt.freeze(l.Server, "POST", "/nodes/pve/lxc/101/status/*")
			answered := make(chan error, 1)
			go func() {
				_, err := l.try("POST", "/nodes/pve/lxc/101/status/start")
				answered <- err
			}()
			if err := frozen.Await(t.Context()); err != nil {
				t.Fatal(err)
			}
			if a, err := l.try("POST", "/nodes/pve/lxc/102/status/start"); err != nil || a.Status != 200 {
				t.Errorf("another container's request: %+v, %v", a, err)
			}
			frozen.Release()
			if err := <-answered; err == nil {
				t.Error("the held request was answered")
			}
			n := 0
			for _, task := range l.Tasks() {
				if task.VMID == 101 {
					n++
				}
			}
			if n != tt.tasks {
				t.Errorf("%d tasks, want %d", n, tt.tasks)
			}
		})
	}
}
