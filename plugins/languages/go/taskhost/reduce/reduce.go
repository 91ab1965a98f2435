// Package reduce is for kernels that make one result out of many. It is a package of its own because a module exports what
// its packages export: one that does not reduce must not have these.
package reduce

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"kernels/taskhost"
)

// Reduce makes the kernel of three functions: process makes a partial result of each item, combine joins consecutive ones
// (none gives the result of nothing; it must be associative), finish turns the last one into what the user sees.
func Reduce(
	description taskhost.Description,
	process func(item []byte) ([]byte, error),
	combine func(parts [][]byte) ([]byte, error),
	finish func(total []byte) ([]byte, error),
) {
	taskhost.Map(description, process)
	combineParts, finishTotal = combine, finish
}

var errNothing = errors.New("no functions were given to reduce.Reduce")

var (
	combineParts = func([][]byte) ([]byte, error) { return nil, errNothing }
	finishTotal  = func([]byte) ([]byte, error) { return nil, errNothing }
)

//go:wasmexport taskhost_combine
func combine(at unsafe.Pointer, length uint32) uint64 {
	argument := unsafe.Slice((*byte)(at), length)
	parts := make([][]byte, binary.LittleEndian.Uint32(argument))
	rest := argument[4+4*len(parts):]
	for i := range parts {
		size := binary.LittleEndian.Uint32(argument[4+4*i:])
		parts[i], rest = rest[:size:size], rest[size:]
	}
	return taskhost.Place(combineParts(parts))
}

//go:wasmexport taskhost_finish
func finish(at unsafe.Pointer, length uint32) uint64 {
	return taskhost.Place(finishTotal(unsafe.Slice((*byte)(at), length)))
}
