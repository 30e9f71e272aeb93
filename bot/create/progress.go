package create

import (
	"encoding/json"
	"time"

	"github.com/pvechat/pvechat/proxmox"
)

// Progress is how far a creation is. It is kept with the job, holds no secret,
// and is what views draw.
type Progress struct {
	Steps []Step   `json:"steps"`
	Lines []string `json:"lines,omitempty"` // the last lines of output

	OSTemplate  string       `json:"os_template,omitempty"` // volume
	UPID        proxmox.UPID `json:"upid,omitempty"`        // the task of the step under way
	SubmittedAt time.Time    `json:"submitted_at,omitzero"` // when its request was about to be sent, by the cluster's clock
	Made        bool         `json:"made,omitempty"`        // Proxmox has the container
	Addr        string       `json:"addr,omitempty"`        // where it is reached
	Message     Message      `json:"message,omitzero"`      // where the progress is shown
}

// Message is a message that is edited as the creation goes on.
type Message struct {
	Platform string `json:"platform"`
	Channel  string `json:"channel"`
	ID       string `json:"id"`
}

// Step is one step of a creation.
type Step struct {
	Kind  Kind      `json:"kind"`
	Name  string    `json:"name"`            // "Install packages"
	Index int       `json:"index,omitempty"` // of the script
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	Error string    `json:"error,omitempty"` // why it failed
}

// Kind is what a step does.
type Kind string

// Kinds of steps, in their order.
const (
	Validate  Kind = "validate"
	Template  Kind = "template"
	Make      Kind = "make"
	Start     Kind = "start"
	Network   Kind = "network"
	Files     Kind = "files"
	Packages  Kind = "packages"
	RunScript Kind = "script"
	Scan      Kind = "scan"
)

// Done reports whether the step has ended well.
func (s Step) Done() bool { return !s.Ended.IsZero() && s.Error == "" }

// Unsure reports whether nobody can tell if Proxmox has the container: it was
// asked for, and what became of that could not be found out.
func (p Progress) Unsure() bool {
	at := p.At()
	return !p.Made && at < len(p.Steps) && p.Steps[at].Kind == Make && !p.SubmittedAt.IsZero()
}

// At is the index of the step that is under way or to be done next; the number
// of steps where all are done.
func (p Progress) At() int {
	for i, s := range p.Steps {
		if !s.Done() {
			return i
		}
	}
	return len(p.Steps)
}

// Percent is the finished part of the steps.
func (p Progress) Percent() int {
	if len(p.Steps) == 0 {
		return 0
	}
	return 100 * p.At() / len(p.Steps)
}

// String is the progress as a job keeps it.
func (p Progress) String() string {
	b, _ := json.Marshal(p) // plain data
	return string(b)
}

// ParseProgress reads what String wrote; what it cannot read has not begun.
func ParseProgress(text string) Progress {
	var p Progress
	if json.Unmarshal([]byte(text), &p) != nil {
		return Progress{}
	}
	return p
}
