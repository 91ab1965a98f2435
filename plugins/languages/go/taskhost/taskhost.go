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
// built with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared: a raw module (docs/abi.md). With -tags component, and
// the section of a world appended to the module, it is a component of that world. A kernel that reduces uses
// package taskhost/reduce. A panic ends the item, and its text becomes part of the item's error.
//
// A kernel keeps nothing from item to item: any worker may get any item, in any order, more than once.
package taskhost

import (
	"errors"
	"strconv"
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

// Flat makes the kernel of a function with none, one or many results for each item. Components only.
func Flat(described Description, process func(item []byte) ([][]byte, error)) {
	description, processFlat = described, process
}

// Start has work done once for each fresh instance, before its first item.
func Start(start func() error) { startKernel = start }

// Level of a message.
type Level uint32

// The levels.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

var (
	description  Description
	processItem  = func([]byte) ([]byte, error) { return nil, errNothing }
	processFlat  func([]byte) ([][]byte, error)
	startKernel  = func() error { return nil }
	combineParts = func([][]byte) ([]byte, error) { return nil, errNothing }
	finishTotal  = func([]byte) ([]byte, error) { return nil, errNothing }
)

var errNothing = errors.New("no function was given to package taskhost")

// Reducing gives the functions of a reduction, for package reduce.
func Reducing(combine func(parts [][]byte) ([]byte, error), finish func(total []byte) ([]byte, error)) {
	combineParts, finishTotal = combine, finish
}

// The kinds of errors, in the order of the contract.
const (
	kindInvalidInput = iota
	kindFailed
	kindTemporary
)

func kindOf(err error) uint32 {
	var invalid InvalidInput
	var temporary Temporary
	switch {
	case errors.As(err, &invalid):
		return kindInvalidInput
	case errors.As(err, &temporary):
		return kindTemporary
	}
	return kindFailed
}

// Decimal is a number as a result.
func Decimal(number uint64) []byte { return strconv.AppendUint(nil, number, 10) }
