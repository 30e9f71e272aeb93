package discordtest

import "encoding/json"

// Check says what Discord would refuse about the JSON of a message with
// components or of a form, without a server: nil where it is fine.
func Check(raw json.RawMessage) error {
	v, err := decode(raw)
	if err != nil {
		return err
	}
	fields, _ := v.(object)
	p := &problems{}
	f := form{p: p, fields: fields}
	if f.has("title") {
		readModal(f)
	} else {
		names := map[string]bool{}
		for _, a := range f.objects("attachments", 0, 10) {
			names[a.must("filename", 1, 1024)] = true
		}
		checkMessage(f, false, names)
	}
	if err := p.err(); err != nil {
		body, _ := json.Marshal(p.tree)
		return problem(body)
	}
	return nil
}

// problem is the nested object of error 50035.
type problem json.RawMessage

func (p problem) Error() string { return string(p) }
