//go:build !component

// A raw module: docs/abi.md.

package taskhost

import (
	"strings"
	"unsafe"
)

// Config gives the value of a setting, and whether it is set.
func Config(name string) (string, bool) {
	length := configGet(unsafe.StringData(name), uint32(len(name)), nil, 0)
	if length == ^uint32(0) {
		return "", false
	}
	value := make([]byte, length)
	configGet(unsafe.StringData(name), uint32(len(name)), unsafe.SliceData(value), length)
	return string(value), true
}

// Log writes a message for the user.
func Log(level Level, text string) {
	hostLog(uint32(level), unsafe.StringData(text), uint32(len(text)))
}

// Count adds to a count that is summed over all items and shown at the end.
func Count(name string, amount uint64) {
	counterAdd(unsafe.StringData(name), uint32(len(name)), amount)
}

//go:wasmimport taskhost config_get
//go:noescape
func configGet(name *byte, length uint32, into *byte, room uint32) uint32

//go:wasmimport taskhost log
//go:noescape
func hostLog(level uint32, text *byte, length uint32)

//go:wasmimport taskhost counter_add
//go:noescape
func counterAdd(name *byte, length uint32, amount uint64)

var (
	// What the host may still read, kept from the collector.
	argument, result []byte
	reason           string
)

//go:wasmexport taskhost_alloc
func alloc(length uint32) unsafe.Pointer {
	if cap(argument) < int(length) {
		argument = make([]byte, length)
	}
	// Never nil, which would say that there is no room.
	if length == 0 {
		argument = make([]byte, 1)
	}
	return unsafe.Pointer(unsafe.SliceData(argument))
}

//go:wasmexport taskhost_process
func process(at unsafe.Pointer, length uint32) uint64 {
	return place(processItem(unsafe.Slice((*byte)(at), length)))
}

//go:wasmexport taskhost_start
func start() uint64 { return place(nil, startKernel()) }

//go:wasmexport taskhost_error
func failure() uint64 { return place([]byte(reason), nil) }

//go:wasmexport taskhost_describe
func describe() uint64 {
	var text strings.Builder
	line := func(key, value string) {
		if value != "" {
			text.WriteString(key + "=" + value + "\n")
		}
	}
	line("summary", description.Summary)
	line("split", description.Split)
	line("merge", description.Merge)
	line("result-length", description.ResultLength)
	for _, setting := range description.Settings {
		line("setting", setting.Name)
		if setting.Default != nil {
			text.WriteString("default=" + *setting.Default + "\n")
		}
		line("help", setting.Help)
	}
	return place([]byte(text.String()), nil)
}

// place is what the host takes for a result: where it lies and how long it is, or which kind of error.
func place(bytes []byte, err error) uint64 {
	if err != nil {
		reason = err.Error()
		return ^uint64(kindOf(err))
	}
	if len(bytes) == 0 {
		return 0
	}
	result = bytes
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(bytes))))<<32 | uint64(len(bytes))
}

// Combine joins the parts that the host handed over. For package reduce.
func Combine(parts [][]byte) uint64 { return place(combineParts(parts)) }

// Finish makes the result of the last part. For package reduce.
func Finish(total []byte) uint64 { return place(finishTotal(total)) }
