package guest

import (
	"fmt"
	"log/slog"
)

// Secret is a value that must not be printed: every way to format, log or
// marshal it gives [redacted].
//
// fmt cannot ask a value inside an unexported field how to print itself, and
// prints it as it is: keep Secrets in exported fields.
type Secret string

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) Format(f fmt.State, _ rune)   { fmt.Fprint(f, redacted) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
