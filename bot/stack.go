package bot

// roomy makes the stack of a click's goroutine as large as the database needs
// it, while there is little on it. Left to grow by itself it is copied again and
// again, each time deeper, while a person waits: 5 % of a start.
//
//go:noinline
func roomy(at int) byte {
	var room [20 << 10]byte
	room[at] = 1
	return room[at/2]
}
