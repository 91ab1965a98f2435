// Package taskhost is what a taskhost kernel in Go is written with.
//
//	package main
//
//	import "kernels/taskhost"
//
//	func init() {
//		taskhost.Map(taskhost.Description{Summary: "Length of each line.", Split: "lines", Merge: "lines"},
//			func(item []byte) ([]byte, error) { return []byte(strconv.Itoa(len(item))), nil })
//	}
//
//	func main() {}
//
// built with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared: a raw module (docs/abi.md). A kernel that reduces uses
// package taskhost/reduce. A panic ends the item, and its text becomes part of the item's error.
//
// A kernel keeps nothing from item to item: any worker may get any item, in any order, more than once.
package taskhost

import (
	"errors"
	"strconv"
	"strings"
	"unsafe"
)

// Description is what a kernel says of itself.
type Description struct {
	Summary      string // One line.
	Split        string // As in --split: whole, lines, blocks:1MiB, records:16, chunks:64KiB.
	Merge        string // As in --merge: concat, lines, reduce.
	ResultLength string // "unknown", "same", or a number of bytes.
	Settings     []Setting
}

// Setting is one that users give as --config name=value.
type Setting struct {
	Name    string
	Default *string // What Config gives when the user gives nothing; nil when the user must give it.
	Help    string
}

// InvalidInput says that the item is at fault. Any other error says that the kernel could not do it.
type InvalidInput string

func (text InvalidInput) Error() string { return string(text) }

// Temporary says that something was not ready: try again (--retries).
type Temporary string

func (text Temporary) Error() string { return string(text) }

// Map makes the kernel of a function with one result for each item. The item may be changed and given back, and is gone
// after the call.
func Map(described Description, process func(item []byte) ([]byte, error)) {
	description, processItem = described, process
}

// Start has work done once for each fresh instance, before its first item.
func Start(start func() error) { startKernel = start }

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

// Level of a message.
type Level uint32

// The levels.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

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
	description Description
	processItem = func([]byte) ([]byte, error) { return nil, errors.New("no function was given to taskhost.Map") }
	startKernel = func() error { return nil }

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
	return Place(processItem(unsafe.Slice((*byte)(at), length)))
}

//go:wasmexport taskhost_start
func start() uint64 { return Place(nil, startKernel()) }

//go:wasmexport taskhost_error
func failure() uint64 { return Place([]byte(reason), nil) }

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
	return Place([]byte(text.String()), nil)
}

// Place is what the host takes for a result: where it lies and how long it is, or which kind of error. For package reduce.
func Place(bytes []byte, err error) uint64 {
	if err != nil {
		reason = err.Error()
		var invalid InvalidInput
		var temporary Temporary
		switch {
		case errors.As(err, &invalid):
			return ^uint64(0)
		case errors.As(err, &temporary):
			return ^uint64(2)
		}
		return ^uint64(1)
	}
	if len(bytes) == 0 {
		return 0
	}
	result = bytes
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(bytes))))<<32 | uint64(len(bytes))
}

// Decimal is a number as a result.
func Decimal(number uint64) []byte { return strconv.AppendUint(nil, number, 10) }
