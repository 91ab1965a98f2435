//go:build component

// A component, by the canonical ABI. All interfaces are there; which of them are exported is up to the world, whose section
// is appended to the module.

package taskhost

import (
	"strconv"
	"unsafe"
)

// What makes preview 2 of preview 1 keeps its state in the module's memory, and Go takes every page behind its own. So it
// has a place among Go's variables, which taskhost finds by what is written at its beginning.
var room = [3 << 16]byte{
	't', 'a', 's', 'k', 'h', 'o', 's', 't', ':', 'a', 'd', 'a', 'p', 't', 'e', 'r', '-', 'r', 'o', 'o', 'm', '=',
	'1', '9', '6', '6', '0', '8', ';',
}

// What the host may still read, kept from the collector until it has. At first it holds room, which nothing in Go uses: the
// linker would leave it out.
var held = []any{&room}

//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldLength, alignment, length uint32) unsafe.Pointer {
	if length == 0 {
		return unsafe.Pointer(uintptr(alignment))
	}
	// Words, so that they are aligned.
	words := make([]uint64, (uint64(length)+7)/8)
	held = append(held, words)
	at := unsafe.Pointer(unsafe.SliceData(words))
	if oldLength > 0 {
		copy(unsafe.Slice((*byte)(at), length), unsafe.Slice((*byte)(old), oldLength))
	}
	return at
}

// address gives away where bytes lie.
func address[T any](all []T) uint32 {
	held = append(held, all)
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(all))))
}

func words(all []uint32) [2]uint32 { return [2]uint32{address(all), uint32(len(all))} }

func list(bytes []byte) [2]uint32 { return [2]uint32{address(bytes), uint32(len(bytes))} }

func text(value string) [2]uint32 { return list([]byte(value)) }

func bytesAt(at, length uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(at))), length)
}

// answer is what a function returns: a place that lasts until the host has read it.
func answer(all ...uint32) unsafe.Pointer {
	address(all)
	return unsafe.Pointer(unsafe.SliceData(all))
}

func failure(err error) []uint32 {
	reason := text(err.Error())
	return []uint32{kindOf(err), reason[0], reason[1]}
}

// outcome is result<list<u8>, error>, and with the same places result<_, error>.
func outcome(bytes []byte, err error) unsafe.Pointer {
	if err != nil {
		return answer(append([]uint32{1}, failure(err)...)...)
	}
	place := list(bytes)
	return answer(0, place[0], place[1], 0)
}

//go:wasmexport taskhost:kernel/mapper@1.0.0#process
func process(at unsafe.Pointer, length uint32) unsafe.Pointer {
	return outcome(processItem(unsafe.Slice((*byte)(at), length)))
}

//go:wasmexport taskhost:kernel/flat-mapper@1.0.0#process
func processMany(at unsafe.Pointer, length uint32) unsafe.Pointer {
	results, err := processFlat(unsafe.Slice((*byte)(at), length))
	if err != nil {
		return outcome(nil, err)
	}
	var lists []uint32
	for _, result := range results {
		place := list(result)
		lists = append(lists, place[0], place[1])
	}
	return answer(0, address(lists), uint32(len(results)), 0)
}

//go:wasmexport taskhost:kernel/packed-mapper@1.0.0#process
func processPacked(at unsafe.Pointer, length uint32, endsAt unsafe.Pointer, count uint32) unsafe.Pointer {
	items := unsafe.Slice((*byte)(at), length)
	var bytes []byte
	var ends, counts, failures []uint32
	start := uint32(0)
	for position, end := range unsafe.Slice((*uint32)(endsAt), count) {
		// No result may grow into the next item.
		results, err := resultsOf(items[start:end:end])
		for _, result := range results {
			bytes = append(bytes, result...)
			ends = append(ends, uint32(len(bytes)))
		}
		if err != nil {
			failures = append(append(failures, uint32(position)), failure(err)...)
		}
		counts = append(counts, uint32(len(results)))
		start = end
	}
	all, allEnds, allCounts := list(bytes), words(ends), words(counts)
	return answer(all[0], all[1], allEnds[0], allEnds[1], allCounts[0], allCounts[1], address(failures), uint32(len(failures)/4))
}

func resultsOf(item []byte) ([][]byte, error) {
	if processFlat != nil {
		return processFlat(item)
	}
	result, err := processItem(item)
	if err != nil {
		return nil, err
	}
	return [][]byte{result}, nil
}

//go:wasmexport taskhost:kernel/reducer@1.0.0#combine
func combine(at unsafe.Pointer, count uint32) unsafe.Pointer {
	lists := unsafe.Slice((*uint32)(at), 2*count)
	parts := make([][]byte, count)
	for i := range parts {
		parts[i] = bytesAt(lists[2*i], lists[2*i+1])
	}
	return outcome(combineParts(parts))
}

//go:wasmexport taskhost:kernel/reducer@1.0.0#finish
func finish(at unsafe.Pointer, length uint32) unsafe.Pointer {
	return outcome(finishTotal(unsafe.Slice((*byte)(at), length)))
}

//go:wasmexport taskhost:kernel/image-filter@1.0.0#prepare
func prepare(width, height, channels, sample uint32) unsafe.Pointer {
	plan, err := prepareImage(Format{width, height, channels, Sample(sample)})
	if err != nil {
		return outcome(nil, err)
	}
	whole := uint32(0)
	if plan.Whole {
		whole = 1
	}
	output := plan.Output
	return answer(0, whole, plan.Halo, output.Width, output.Height, output.Channels, uint32(output.Sample))
}

//go:wasmexport taskhost:kernel/image-filter@1.0.0#filter
func filter(width, height, channels, sample, firstRow, rows, above, below uint32, at unsafe.Pointer, length uint32) unsafe.Pointer {
	return outcome(filterTile(Tile{
		Image:    Format{width, height, channels, Sample(sample)},
		FirstRow: firstRow, Rows: rows, Above: above, Below: below,
		Samples: unsafe.Slice((*byte)(at), length),
	}))
}

//go:wasmexport taskhost:kernel/lifecycle@1.0.0#start
func start() unsafe.Pointer { return outcome(nil, startKernel()) }

//go:wasmexport taskhost:kernel/describe@1.0.0#describe
func describe() unsafe.Pointer {
	var settings []uint32
	for _, setting := range description.Settings {
		name, help, isSome, value := text(setting.Name), text(setting.Help), uint32(0), [2]uint32{}
		if setting.Default != nil {
			isSome, value = 1, text(*setting.Default)
		}
		settings = append(settings, name[0], name[1], isSome, value[0], value[1], help[0], help[1])
	}
	// unknown, same, or a number of bytes.
	kind, length := uint32(0), 0
	if description.ResultLength == "same" {
		kind = 1
	} else if number, err := strconv.Atoi(description.ResultLength); err == nil {
		kind, length = 2, number
	}
	summary, split, merge := text(description.Summary), text(description.Split), text(description.Merge)
	return answer(summary[0], summary[1], split[0], split[1], merge[0], merge[1], kind, uint32(length),
		address(settings), uint32(len(description.Settings)))
}

// What the host calls when it has read a result.

//go:wasmexport cabi_post_taskhost:kernel/mapper@1.0.0#process
func afterProcess(unsafe.Pointer) { held = held[:0] }

//go:wasmexport cabi_post_taskhost:kernel/flat-mapper@1.0.0#process
func afterProcessMany(unsafe.Pointer) { held = held[:0] }

//go:wasmexport cabi_post_taskhost:kernel/packed-mapper@1.0.0#process
func afterProcessPacked(unsafe.Pointer) { held = held[:0] }

//go:wasmexport cabi_post_taskhost:kernel/reducer@1.0.0#combine
func afterCombine(unsafe.Pointer) { held = held[:0] }

//go:wasmexport cabi_post_taskhost:kernel/reducer@1.0.0#finish
func afterFinish(unsafe.Pointer) { held = held[:0] }

//go:wasmexport cabi_post_taskhost:kernel/image-filter@1.0.0#prepare
func afterPrepare(unsafe.Pointer) { held = held[:0] }

//go:wasmexport cabi_post_taskhost:kernel/image-filter@1.0.0#filter
func afterFilter(unsafe.Pointer) { held = held[:0] }

//go:wasmexport cabi_post_taskhost:kernel/lifecycle@1.0.0#start
func afterStart(unsafe.Pointer) { held = held[:0] }

//go:wasmexport cabi_post_taskhost:kernel/describe@1.0.0#describe
func afterDescribe(unsafe.Pointer) { held = held[:0] }
