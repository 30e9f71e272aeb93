package proxmoxtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// value is one parameter as it came in.
type value struct {
	text string
	list []string // it was given more than once
	ref  string   // what Perl would call it if it is not a string: ARRAY, HASH, JSON::PP::Boolean
}

func (v value) all() []string {
	if v.list != nil {
		return v.list
	}
	return []string{v.text}
}

// decodeParams reads the body and the query; the query wins. A key without = is no parameter at all (Perl: undef).
func decodeParams(kind string, body []byte, query string) (map[string]value, error) {
	params := make(map[string]value)
	if kind == "application/json" && len(body) > 0 {
		var object map[string]any
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.UseNumber()
		if err := dec.Decode(&object); err != nil {
			return nil, fmt.Errorf("malformed JSON string, %w", err)
		}
		for k, v := range object {
			switch v := v.(type) {
			case nil:
			case string:
				params[k] = value{text: v}
			case json.Number:
				params[k] = value{text: v.String()}
			case bool:
				params[k] = value{text: map[bool]string{true: "1", false: "0"}[v], ref: "JSON::PP::Boolean"}
			case []any:
				params[k] = value{ref: "ARRAY"}
			default:
				params[k] = value{ref: "HASH"}
			}
		}
	} else {
		decodeForm(params, string(body))
	}
	fromQuery := make(map[string]value)
	decodeForm(fromQuery, query)
	maps.Copy(params, fromQuery)
	delete(params, "_dc")
	return params, nil
}

func decodeForm(into map[string]value, form string) {
	for _, pair := range strings.FieldsFunc(form, func(r rune) bool { return r == '&' || r == ';' }) {
		k, v, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		k, v = unescape(k), unescape(v)
		if old, twice := into[k]; twice {
			into[k] = value{list: append(old.all(), v), ref: "ARRAY"}
		} else {
			into[k] = value{text: v}
		}
	}
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// param describes one parameter of a call.
type param struct {
	kind     string // string, integer, number or boolean
	required bool
	min, max *int64
	longest  int
	shortest int
	enum     []string
	format   string // a name in formats
	pattern  *regexp.Regexp
}

var formats = map[string]func(string) error{
	"pve-node": func(s string) error {
		return like(nodePattern, s, "value does not look like a valid node name")
	},
	"pve-vmid": func(s string) error {
		return like(vmidPattern, s, "value does not look like a valid VM ID")
	},
	"pve-configid": func(s string) error {
		return like(configPattern, s, fmt.Sprintf("invalid configuration ID '%s'", s))
	},
	"pve-storage-id": func(s string) error {
		if len(s) < 2 {
			return fmt.Errorf("storage ID '%s' cannot be shorter than 2 characters", s)
		}
		return like(storagePattern, s, fmt.Sprintf("storage ID '%s' contains illegal characters", s))
	},
	"pve-storage-content": storageContent,
	"pve-storage-content-list": func(s string) error {
		return each(s, storageContent)
	},
	"dns-name": dnsName,
	"dns-name-list": func(s string) error {
		return each(s, dnsName)
	},
	"pve-volume-id": func(s string) error {
		return like(volumePattern, s, fmt.Sprintf("unable to parse volume ID '%s'", s))
	},
	"pve-poolid": func(s string) error {
		return like(poolPattern, s, fmt.Sprintf("pool name '%s' contains invalid characters", s))
	},
	"pve-startup-order": func(s string) error {
		return like(startupPattern, s, "unable to parse startup options")
	},
	"pve-ct-timezone": func(s string) error {
		return like(timezonePattern, s, "invalid time zone '"+s+"'")
	},
	"pve-tag-list": func(s string) error {
		return each(s, func(s string) error { return like(tagPattern, s, "invalid characters in tag") })
	},
	"lxc-ip-with-ll-iface-list": func(s string) error {
		return each(s, func(s string) error {
			if _, err := netip.ParseAddr(s); err != nil {
				return fmt.Errorf("value does not look like a valid IP address: %s", s)
			}
			return nil
		})
	},
	"pve-task-status-type-list": func(s string) error {
		return each(s, func(s string) error {
			return like(taskStatusPattern, s, fmt.Sprintf("invalid status '%s'", s))
		})
	},
}

var (
	nodePattern       = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)
	vmidPattern       = regexp.MustCompile(`^[1-9][0-9]{2,8}$`)
	configPattern     = regexp.MustCompile(`^(?i)[a-z][a-z0-9_-]+$`)
	storagePattern    = regexp.MustCompile(`^(?i)[a-z][a-z0-9._-]*[a-z0-9]$`)
	contentPattern    = regexp.MustCompile(`^(images|rootdir|vztmpl|iso|backup|snippets|import|none)$`)
	dnsPattern        = regexp.MustCompile(`^(?i)([a-z0-9]([a-z0-9-]*[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	volumePattern     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*:.+$`)
	poolPattern       = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}$`)
	startupPattern    = regexp.MustCompile(`^((order=)?\d+|up=\d+|down=\d+)(,(up|down|order)=\d+)*$`)
	timezonePattern   = regexp.MustCompile(`^(host|[A-Za-z0-9_+/-]+)$`)
	tagPattern        = regexp.MustCompile(`^(?i)[a-z0-9_][a-z0-9_+.-]*$`)
	taskStatusPattern = regexp.MustCompile(`^(?i)(ok|error|warning|unknown)$`)
	useridPattern     = regexp.MustCompile(`^[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+(![A-Za-z][A-Za-z0-9._-]+)?$`)
	numbered          = regexp.MustCompile(`\d+$`)
	numberPattern     = regexp.MustCompile(`^[+-]?\d+(\.\d+)?$`)
	integerPattern    = regexp.MustCompile(`^[+-]?\d+$`)
)

func storageContent(s string) error {
	return like(contentPattern, s, fmt.Sprintf("invalid content type '%s'", s))
}

func dnsName(s string) error {
	return like(dnsPattern, s, "value does not look like a valid DNS name")
}

func like(pattern *regexp.Regexp, s, complaint string) error {
	if pattern.MatchString(s) {
		return nil
	}
	return fmt.Errorf("%s", complaint)
}

// each splits a list as Proxmox does: at blanks, commas, semicolons and NULs.
func each(list string, check func(string) error) error {
	for _, item := range splitList(list) {
		if err := check(item); err != nil {
			return err
		}
	}
	return nil
}

func splitList(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" \t\n,;\x00", r) })
}

const undefinedParameter = "property is not defined in schema and the schema does not allow additional properties"

// verify holds the parameters against the table, in the words of PVE::JSONSchema.
func verify(table map[string]param, given map[string]value) error {
	complaints := make(map[string]string)
	for name, p := range table {
		v, ok := given[name]
		if !ok {
			if p.required {
				complaints[name] = "property is missing and it is not optional"
			}
			continue
		}
		if complaint := p.check(v); complaint != "" {
			complaints[name] = complaint
		}
	}
	misuse := false
	for name, v := range given {
		_, ok := table[name]
		if !ok {
			var p param
			if p, ok = table[numbered.ReplaceAllString(name, "[n]")]; ok { // net0, net1, …
				if complaint := p.check(v); complaint != "" {
					complaints[name] = complaint
				}
			}
		}
		if !ok || strings.HasSuffix(name, "[n]") {
			complaints[name], misuse = undefinedParameter, true
		}
	}
	if len(complaints) == 0 {
		return nil
	}
	return &apiError{status: 400, message: "Parameter verification failed.\n", errors: complaints, misuse: misuse}
}

func (p param) check(v value) string {
	if v.ref != "" && (v.ref != "JSON::PP::Boolean" || p.kind != "boolean") {
		return fmt.Sprintf("type check ('%s') failed - got %s", p.kind, v.ref)
	}
	// On the wire a boolean is 1 or 0; "true" and "on" are for the command line and for property strings.
	if p.kind == "boolean" && v.text != "1" && v.text != "0" || p.kind == "integer" && !integerPattern.MatchString(v.text) ||
		p.kind == "number" && !numberPattern.MatchString(v.text) {
		return fmt.Sprintf("type check ('%s') failed - got '%s'", p.kind, v.text)
	}
	if p.format != "" {
		if err := formats[p.format](v.text); err != nil {
			return "invalid format - " + err.Error() + "\n"
		}
	}
	if p.pattern != nil && !p.pattern.MatchString(v.text) {
		return "value does not match the regex pattern"
	}
	if p.longest > 0 && len([]rune(v.text)) > p.longest {
		return fmt.Sprintf("value may only be %d characters long", p.longest)
	}
	if len([]rune(v.text)) < p.shortest {
		return fmt.Sprintf("value must be at least %d characters long", p.shortest)
	}
	if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
		if p.max != nil && n > *p.max {
			return fmt.Sprintf("value must have a maximum value of %d", *p.max)
		}
		if p.min != nil && n < *p.min {
			return fmt.Sprintf("value must have a minimum value of %d", *p.min)
		}
	}
	if p.enum != nil && !slices.Contains(p.enum, v.text) {
		return fmt.Sprintf("value '%s' does not have a value in the enumeration '%s'", v.text, strings.Join(p.enum, ", "))
	}
	return ""
}
