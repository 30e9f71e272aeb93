package inventory

import "crypto/rand"

// alphabet leaves out what people confuse.
const alphabet = "23456789abcdefghjkmnpqrstuvwxyz"

// Token returns n random characters that are easy to read aloud.
func Token(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails, see its documentation
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

// NewID makes an own id: 8 characters, so that even 10,000 containers a day
// for a year would hardly ever meet twice.
func NewID() ID { return ID(Token(8)) }
