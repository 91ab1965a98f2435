//go:build component

package taskhost

import "unsafe"

// Config gives the value of a setting, and whether it is set.
func Config(name string) (string, bool) {
	var value [3]uint32
	configGet(unsafe.StringData(name), uint32(len(name)), &value)
	// A bool is one byte; the rest of its word is anything.
	if value[0]&1 == 0 {
		return "", false
	}
	return string(bytesAt(value[1], value[2])), true
}

// Log writes a message for the user.
func Log(level Level, text string) {
	hostLog(uint32(level), unsafe.StringData(text), uint32(len(text)))
}

// Count adds to a count that is summed over all items and shown at the end.
func Count(name string, amount uint64) {
	counterAdd(unsafe.StringData(name), uint32(len(name)), amount)
}

//go:wasmimport taskhost:kernel/config@1.0.0 get
//go:noescape
func configGet(name *byte, length uint32, into *[3]uint32)

//go:wasmimport taskhost:kernel/log@1.0.0 log
//go:noescape
func hostLog(level uint32, text *byte, length uint32)

//go:wasmimport taskhost:kernel/counter@1.0.0 add
//go:noescape
func counterAdd(name *byte, length uint32, amount uint64)
