package proxmoxtest

// Param and Call show the tables to the test that holds them against the schema.
type Param struct {
	Kind, Format string
	Required     bool
	Min, Max     *int64
	Longest      int
	Enum         []string
	Pattern      string
}

type Call struct {
	Method, Path string
	Params       map[string]Param
	PrivPath     string
	Privs        []string
	AnyPriv      bool
	Node         bool
}

func Calls() []Call {
	var out []Call
	for _, c := range calls() {
		call := Call{Method: c.method, Path: c.path, Node: c.node, Params: make(map[string]Param)}
		if c.needs != nil {
			call.PrivPath, call.Privs, call.AnyPriv = c.needs.path, c.needs.privs, c.needs.any
		}
		for name, p := range c.params {
			shown := Param{
				Kind: p.kind, Format: p.format, Required: p.required, Min: p.min, Max: p.max, Longest: p.longest, Enum: p.enum,
			}
			if p.pattern != nil {
				shown.Pattern = p.pattern.String()
			}
			call.Params[name] = shown
		}
		out = append(out, call)
	}
	return out
}
