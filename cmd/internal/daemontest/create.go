package daemontest

var firstStep = []string{"1 Template › 2 Settings", "Each has its page"}

// Creates types "/pve create", again where the bot has not read yet what the
// cluster offers, and returns the first step.
func (p *Person) Creates() Surface {
	p.w.t.Helper()
	for {
		before := p.Count("It is still reading") // of an earlier try, which may stand there still
		p.Command("create")
		var first Surface
		var opened bool
		p.Until("an answer to /pve create", func() bool {
			first, opened = p.Seen(firstStep...)
			return opened || p.Count("It is still reading") > before
		})
		if opened {
			return first
		}
	}
}

// Review leads a person who has opened the way to a new container to its last
// step, with a template of that id and name, and two tags.
func (p *Person) Review(template, name, hostname string) Surface {
	p.w.t.Helper()
	step := p.Sees(firstStep...)
	values := map[string]string{"hostname": hostname, "tags": "one two"}
	if p.On == Slack {
		step.Submit(map[string]string{"template": template})
		p.Sees(name + " on pve1").Submit(values)
		p.Sees("What " + name + " does inside").Submit(nil)
	} else {
		step.Press(name)
		p.Sees(firstStep...).Press("Next")
		p.Sees(name + " on pve1").Press("Name and access…")
		p.Sees("Create container").Submit(values)
		p.Sees(name+" on pve1", "Hostname "+hostname, "Tags one two").Press("Next")
		p.Sees("What " + name + " does inside").Press("Next")
	}
	return p.Sees("4 Review", "Next free number", hostname)
}

// Deploy sends the last step.
func (s Surface) Deploy() {
	s.p.w.t.Helper()
	if s.p.On == Slack {
		s.Submit(nil)
	} else {
		s.Press("Deploy")
	}
}
