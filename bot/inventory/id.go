package inventory

import (
	"crypto/rand"
	"crypto/sha256"
)

// alphabet leaves out what people confuse.
const alphabet = "23456789abcdefghjkmnpqrstuvwxyz"

// Token returns n random characters that are easy to read aloud.
func Token(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails, see its documentation
	return readable(b)
}

// TokenOf returns the 20 such characters that stand for s, and hardly ever for
// anything else.
func TokenOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return readable(sum[:20])
}

func readable(b []byte) string {
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

// NewID makes an own id: 8 characters, so that even 10,000 containers a day
// for a year would hardly ever meet twice.
func NewID() ID { return ID(Token(8)) }
