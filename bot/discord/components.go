package discord

import (
	"bytes"
	"encoding/json"
)

// The components that pvechat sends. discordgo has types of its own for them,
// which spell out every false and every empty string; these say only what is
// meant, so that what goes over the wire is what can be read in the screens.

// Component types.
const (
	typeRow       = 1
	typeButton    = 2
	typeSelect    = 3
	typeInput     = 4
	typeSection   = 9
	typeText      = 10
	typeGallery   = 12
	typeSeparator = 14
	typeContainer = 17
)

// Message flags.
const (
	flagEphemeral  = 1 << 6
	flagComponents = 1 << 15
)

// Button styles.
const (
	stylePrimary   = 1
	styleSecondary = 2
	styleSuccess   = 3
	styleDanger    = 4
	styleLink      = 5
)

// Accent colours.
const (
	colourBad     = 0xD83C3E
	colourWarning = 0xF0B132
	colourNeutral = 0x3B82F6
	colourGood    = 0x23A55A
	colourQuiet   = 0x80848E
)

type (
	// message is the body of a message, new or edited.
	message struct {
		Flags      int          `json:"flags"`
		Components []any        `json:"components"`
		Mentions   mentions     `json:"allowed_mentions"`
		Reference  *messageLink `json:"message_reference,omitempty"`

		Attachments []attachment `json:"attachments,omitempty"`
		pictures    [][]byte     // PNG, one for each attachment
	}

	attachment struct {
		ID   int    `json:"id"` // its place among the files of the request
		Name string `json:"filename"`
		Alt  string `json:"description,omitempty"`
	}

	// mentions allows none. Its zero value is what is meant.
	mentions struct{}

	messageLink struct {
		ID            string `json:"message_id"`
		FailIfMissing bool   `json:"fail_if_not_exists"`
	}

	// modal is a form. It holds inputs and nothing else.
	modal struct {
		CustomID   string `json:"custom_id"`
		Title      string `json:"title"`
		Components []row  `json:"components"`
	}

	container struct {
		Type       int   `json:"type"`
		Accent     int   `json:"accent_color"`
		Components []any `json:"components"`
	}

	text struct {
		Type    int    `json:"type"`
		Content string `json:"content"`
	}

	separator struct {
		Type    int  `json:"type"`
		Divider bool `json:"divider"`
		Spacing int  `json:"spacing"`
	}

	section struct {
		Type       int    `json:"type"`
		Components []text `json:"components"`
		Accessory  button `json:"accessory"`
	}

	gallery struct {
		Type  int           `json:"type"`
		Items []galleryItem `json:"items"`
	}

	galleryItem struct {
		Media media  `json:"media"`
		Alt   string `json:"description,omitempty"`
	}

	media struct {
		URL string `json:"url"`
	}

	row struct {
		Type       int   `json:"type"`
		Components []any `json:"components"`
	}

	button struct {
		Type     int    `json:"type"`
		Style    int    `json:"style"`
		Label    string `json:"label"`
		CustomID string `json:"custom_id,omitempty"`
		URL      string `json:"url,omitempty"`
		Disabled bool   `json:"disabled,omitempty"`
	}

	menu struct {
		Type        int      `json:"type"`
		CustomID    string   `json:"custom_id"`
		Placeholder string   `json:"placeholder,omitempty"`
		Min         int      `json:"min_values"`
		Max         int      `json:"max_values"`
		Options     []option `json:"options"`
	}

	option struct {
		Label       string `json:"label"`
		Value       string `json:"value"`
		Description string `json:"description,omitempty"`
		Emoji       *emoji `json:"emoji,omitempty"`
		Default     bool   `json:"default,omitempty"`
	}

	emoji struct {
		Name string `json:"name"`
	}

	input struct {
		Type        int    `json:"type"`
		CustomID    string `json:"custom_id"`
		Style       int    `json:"style"`
		Label       string `json:"label"`
		Required    bool   `json:"required"`
		MaxLength   int    `json:"max_length,omitempty"`
		Value       string `json:"value,omitempty"`
		Placeholder string `json:"placeholder,omitempty"`
	}
)

func (mentions) MarshalJSON() ([]byte, error) { return []byte(`{"parse":[]}`), nil }

// encode is v as JSON that a person can read.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
