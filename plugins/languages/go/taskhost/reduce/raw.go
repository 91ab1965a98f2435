//go:build !component

package reduce

import (
	"encoding/binary"
	"unsafe"

	"kernels/taskhost"
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
	return taskhost.Combine(parts)
}

//go:wasmexport taskhost_finish
func finish(at unsafe.Pointer, length uint32) uint64 {
	return taskhost.Finish(unsafe.Slice((*byte)(at), length))
}
