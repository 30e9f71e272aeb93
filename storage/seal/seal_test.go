package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"go.uber.org/goleak"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/storage/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var password = seal.Cell{Table: "credentials", Row: "7f3k2", Column: "password"}

func newKeyset(t *testing.T) (*seal.Keyset, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyset.json")
	if err := seal.Generate(path); err != nil {
		t.Fatal(err)
	}
	k, err := seal.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return k, path
}

func mustSeal(t *testing.T, k *seal.Keyset, at seal.Cell, value string) []byte {
	t.Helper()
	sealed, err := k.Seal(at, chat.NewSecret(value))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestAValueOpensInItsCell(t *testing.T) {
	k, path := newKeyset(t)
	for _, value := range []string{"", "hunter2", "\x00\xff`|$ <&>", strings.Repeat("ä", 4000)} {
		sealed := mustSeal(t, k, password, value)
		if value != "" && bytes.Contains(sealed, []byte(value)) {
			t.Errorf("the sealed %q holds the value in clear", value)
		}
		again, err := seal.OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Open(password, sealed)
		if err != nil {
			t.Fatal(err)
		}
		if got.Reveal() != value {
			t.Errorf("opened %q, want %q", got.Reveal(), value)
		}
	}
	if bytes.Equal(mustSeal(t, k, password, "same"), mustSeal(t, k, password, "same")) {
		t.Error("one value sealed twice looks the same")
	}
}

func TestAValueOpensNowhereElse(t *testing.T) {
	k, _ := newKeyset(t)
	other, _ := newKeyset(t)
	sealed := mustSeal(t, k, password, "hunter2")
	spoilt := bytes.Clone(sealed)
	spoilt[len(spoilt)-1] ^= 1

	for name, try := range map[string]func() (chat.Secret, error){
		"in another row": func() (chat.Secret, error) {
			return k.Open(seal.Cell{password.Table, "8aaaa", password.Column}, sealed)
		},
		"in another column":      func() (chat.Secret, error) { return k.Open(seal.Cell{password.Table, password.Row, "token"}, sealed) },
		"in another table":       func() (chat.Secret, error) { return k.Open(seal.Cell{"tokens", password.Row, password.Column}, sealed) },
		"with another keyset":    func() (chat.Secret, error) { return other.Open(password, sealed) },
		"when a bit has changed": func() (chat.Secret, error) { return k.Open(password, spoilt) },
		"when it is cut short":   func() (chat.Secret, error) { return k.Open(password, sealed[:3]) },
		"when it is empty":       func() (chat.Secret, error) { return k.Open(password, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := try()
			if !errors.Is(err, seal.ErrWrongKey) {
				t.Errorf("error %v, want ErrWrongKey", err)
			}
			if got.Reveal() != "" {
				t.Error("it returned something all the same")
			}
		})
	}
}

func TestNoTwoCellsShareAName(t *testing.T) {
	if a, b := (seal.Cell{"a/b", "c", "d"}), (seal.Cell{"a", "b/c", "d"}); a.String() == b.String() {
		t.Errorf("%#v and %#v are both %s", a, b, a)
	}
}

func TestAfterRotationOldValuesOpenAndNewOnesUseTheNewKey(t *testing.T) {
	k, path := newKeyset(t)
	old := mustSeal(t, k, password, "old")

	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(f))
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(aead.XAES256GCM192BitNonceKeyTemplate())
	if err == nil {
		err = manager.SetPrimary(id)
	}
	if err != nil {
		t.Fatal(err)
	}
	if handle, err = manager.Handle(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	rotated, err := seal.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := rotated.Open(password, old); err != nil || got.Reveal() != "old" {
		t.Errorf("the old value: %q, %v", got.Reveal(), err)
	}
	if _, err := k.Open(password, mustSeal(t, rotated, password, "new")); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("the old key opens a new value: %v", err)
	}
}

func TestAKeysetFileOfOthersIsRefused(t *testing.T) {
	_, path := newKeyset(t)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("a new keyset file has mode %v, %v", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o644, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := seal.OpenFile(path)
		var wrong *seal.ModeError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.OpenFile(path); err != nil {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	if _, err := seal.OpenFile(t.TempDir()); err == nil {
		t.Error("a folder passed for a keyset")
	}
}

func TestGenerateNeverOverwrites(t *testing.T) {
	_, path := newKeyset(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := seal.Generate(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("error %v, want ErrExist", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Error("the file changed")
	}
}

func TestNoErrorAndNoPrintShowsTheKey(t *testing.T) {
	const canary = "CANARY-OF-THE-KEY"
	for _, content := range []string{
		canary,
		`{"primaryKeyId": "` + canary + `"}`,
		`{"primaryKeyId": 1, "key": [{"keyData": {"typeUrl": "` + canary + `", "value": "` + canary + `"}}]}`,
		`{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"` + canary + `","value":"AAAA","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`,
	} {
		path := filepath.Join(t.TempDir(), "keyset.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := seal.OpenFile(path)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: error %v", content, err)
		}
	}

	k, _ := newKeyset(t)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("k", "keyset", k)
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %x", k, k, k), log.String()} {
		if !strings.Contains(s, "[redacted]") || strings.Contains(s, "aead") {
			t.Errorf("a keyset prints as %s", s)
		}
	}
}

// memory is a Store; meanwhile, if set, runs once before a value is added.
type memory struct {
	values    map[seal.Cell][]byte
	meanwhile func()
	err       error
}

func (m *memory) AddSealed(_ context.Context, at seal.Cell, sealed []byte) (bool, error) {
	if m.meanwhile != nil {
		f := m.meanwhile
		m.meanwhile = nil
		f()
	}
	if _, found := m.values[at]; found {
		return false, nil
	}
	m.values[at] = sealed
	return true, nil
}

func (m *memory) Sealed(_ context.Context, at seal.Cell) ([]byte, bool, error) {
	v, found := m.values[at]
	return v, found, m.err
}

func TestTheCanaryTellsAnotherKeyset(t *testing.T) {
	ctx := t.Context()
	mine, _ := newKeyset(t)
	theirs, _ := newKeyset(t)

	s := &memory{values: map[seal.Cell][]byte{}}
	for range 2 {
		if err := mine.Verify(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := theirs.Verify(ctx, s); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("another keyset: %v", err)
	}

	raced := &memory{values: map[seal.Cell][]byte{}}
	raced.meanwhile = func() {
		if err := theirs.Verify(ctx, raced); err != nil {
			t.Error(err)
		}
	}
	if err := mine.Verify(ctx, raced); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("another keyset that was quicker: %v", err)
	}

	broken := &memory{err: errors.New("down")}
	if err := mine.Verify(ctx, broken); !errors.Is(err, broken.err) {
		t.Errorf("a broken store: %v", err)
	}
}
