package guest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParseFile(t *testing.T) {
	lines := func(n int) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, "K%d=v\n", i)
		}
		return s.String()
	}
	for name, tc := range map[string]struct {
		content string
		want    string // key=value, one per line, quoted
		err     string
	}{
		"one line":                         {"A=b\n", `A="b"`, ""},
		"no line feed at the end":          {"A=b", `A="b"`, ""},
		"blank lines and comments":         {"\n  \t\n# A=c\n \t# B=c\nA=b\n\n", `A="b"`, ""},
		"an empty value":                   {"A=\n", `A=""`, ""},
		"blanks belong to the value":       {"A=  b \t\n", `A="  b \t"`, ""},
		"quotes belong to the value":       {"A=\"b\"\nB='c'\n", `A="\"b\"" B="'c'"`, ""},
		"only the first = divides":         {"A=b=c==\n", `A="b=c=="`, ""},
		"a backslash continues nothing":    {"A=b\\\nB=c\n", `A="b\\" B="c"`, ""},
		"# inside a value":                 {"A=b # c\n", `A="b # c"`, ""},
		"{ inside a value":                 {"A={}\n", `A="{}"`, ""},
		"key of all kinds of characters":   {"_a.B-9=c\n", `_a.B-9="c"`, ""},
		"50 values":                        {lines(50), strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(lines(50), "v", `"v"`), "\n", " ")), ""},
		"51 values":                        {lines(51), "", "it has more than 50 values"},
		"nothing":                          {"", "", "it has no values"},
		"comments only":                    {"# A=b", "", "it has no values"},
		"no =":                             {"A=b\nhunter2\n", "", "line 2 is not KEY=VALUE"},
		"no key":                           {"=hunter2\n", "", "line 1 is not KEY=VALUE"},
		"a blank before the key":           {" A=hunter2\n", "", "line 1 is not KEY=VALUE"},
		"a blank after the key":            {"A =hunter2\n", "", "line 1 is not KEY=VALUE"},
		"a shell's export":                 {"export A=hunter2\n", "", "line 1 is not KEY=VALUE"},
		"a key of 65 characters":           {strings.Repeat("A", 65) + "=hunter2", "", "line 1 is not KEY=VALUE"},
		"a key twice":                      {"hunter2=b\nhunter2=c\n", "", "line 2 has a key for the second time"},
		"Windows line ends":                {"A=hunter2\r\n", "", "line 1 ends with CR LF, not LF"},
		"a CR inside a value":              {"A=hunter2\rB=c\n", "", "line 1 has a control character"},
		"an escape sequence":               {"A=\x1b[31mhunter2\n", "", "line 1 has a control character"},
		"a NUL":                            {"A=hunter2\x00\n", "", "line 1 has a control character"},
		"a C1 control character":           {"A=\u009bhunter2\n", "", "line 1 has a control character"},
		"a byte order mark":                {"\ufeffA=hunter2\n", "", "line 1 is not KEY=VALUE"},
		"no UTF-8":                         {"A=\xff\n", "", "it is not UTF-8"},
		"JSON":                             {`{"B": "c", "A": "b"}`, `B="c" A="b"`, ""},
		"JSON after white space":           {" \t\r\n{\"A\": \"b\"}\n", `A="b"`, ""},
		"JSON with all escapes":            {`{"A": "\u00e9\ud83d\ude00\"\\\/\n\t"}`, `A="é😀\"\\/\n\t"`, ""},
		"JSON with 51 values":              {"{" + strings.TrimSuffix(strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(lines(51), "K", `"K`), "=v", `":"v"`), "\n", ","), ",") + "}", "", "it has more than 50 values"},
		"JSON without a value":             {"{}", "", "it has no values"},
		"JSON with a number":               {`{"A": 42}`, "", "it is not one JSON object of strings, from byte 8 on"},
		"JSON with null":                   {`{"A": null}`, "", "it is not one JSON object of strings, from byte 10 on"},
		"JSON with an object in it":        {`{"A": {"hunter2": "c"}}`, "", "it is not one JSON object of strings, from byte 7 on"},
		"JSON that ends early":             {`{"A": "hunter2"`, "", "it is not one JSON object of strings, from byte 15 on"},
		"JSON that goes on":                {`{"A": "b"} hunter2`, "", "it is not one JSON object of strings, from byte 10 on"},
		"JSON twice":                       {`{"A": "b"}{"B": "hunter2"}`, "", "it is not one JSON object of strings, from byte 11 on"},
		"JSON with a key twice":            {`{"A": "b", "A": "hunter2"}`, "", "it is not one JSON object of strings, from byte 9 on"},
		"JSON with half a surrogate":       {`{"A": "\ud83d hunter2"}`, "", "it is not one JSON object of strings, from byte 4 on"},
		"JSON with an escape sequence":     {`{"A": "\u001b[31mhunter2"}`, "", "the value before byte 25 has a control character"},
		"JSON with a CR":                   {`{"A": "hunter2\r\n"}`, "", "the value before byte 19 has a control character"},
		"JSON with a key that is no label": {`{"hunter 2": "b"}`, "", "the key before byte 16 cannot be one"},
		"JSON with an empty key":           {`{"": "b"}`, "", "the key before byte 8 cannot be one"},
		"a JSON array":                     {`["hunter2"]`, "", "line 1 is not KEY=VALUE"},
	} {
		t.Run(name, func(t *testing.T) {
			values, err := parseFile([]byte(tc.content))
			var got []string
			for _, v := range values {
				got = append(got, fmt.Sprintf("%s=%q", v.Key, v.Value.Reveal()))
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tc.err {
				t.Errorf("it says %q, want %q", text, tc.err)
			}
		})
	}
}

// Errors are of these forms, so they quote nothing.
var fileErrors = regexp.MustCompile(`^(line \d+ (is not KEY=VALUE|has a key for the second time|ends with CR LF, not LF|has a control character)` +
	`|it is not UTF-8|it has no values|it has more than 50 values|it is not one JSON object of strings, from byte \d+ on` +
	`|the (key|value) before byte \d+ (cannot be one|has a control character))$`)

func FuzzFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, content []byte) {
		values, err := parseFile(content)
		if err != nil {
			if values != nil || !fileErrors.MatchString(err.Error()) {
				t.Fatalf("%d values with the error %v", len(values), err)
			}
			return
		}
		if len(values) == 0 || len(values) > maxValues {
			t.Fatalf("%d values", len(values))
		}
		var again strings.Builder
		seen := make(map[string]bool)
		for _, v := range values {
			value := v.Value.Reveal()
			if seen[v.Key] || !keyName.MatchString(v.Key) {
				t.Fatalf("key %q", v.Key)
			}
			seen[v.Key] = true
			if !utf8.ValidString(value) || strings.ContainsAny(value, "\x00\x07\x1b\r\x7f") || len(value) > len(content) {
				t.Fatalf("value %q", value)
			}
			if strings.Contains(value, "\n") {
				return // can be JSON only
			}
			fmt.Fprintf(&again, "%s=%s\n", v.Key, value)
		}
		same, err := parseFile([]byte(again.String()))
		if err != nil || !cmp.Equal(values, same, cmp.Transformer("Reveal", Secret.Reveal)) {
			t.Fatalf("written again as lines it is %v, %v", same, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Fuzz(func(t *testing.T, output []byte, service string) {
		if service != "" && !serviceName.MatchString(service) {
			return // nobody asks for it
		}
		sets, err := readReply(output, service)
		if err == nil && len(sets) == 0 || len(sets) > maxFiles+maxFurther {
			t.Fatalf("%d sets, %v", len(sets), err)
		}
		size := 0
		for _, set := range sets {
			if !serviceName.MatchString(set.Service) || service != "" && set.Service != service {
				t.Fatalf("service %q, asked for %q", set.Service, service)
			}
			if year := set.Modified.Year(); year < 1 || year > 9999 {
				t.Fatalf("modified %v", set.Modified)
			}
			for _, v := range set.Values {
				size += len(v.Key) + len(v.Value)
			}
		}
		if size > maxTotal {
			t.Fatalf("%d bytes of values", size)
		}
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
			t.Fatalf("the error is not inert: %q", err)
		}
	})
}
