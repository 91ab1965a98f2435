// How often each word occurs: lines `word<TAB>count`, sorted by bytes. A partial result is the same text.
package main

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strconv"

	"kernels/taskhost"
	"kernels/taskhost/reduce"
)

func init() {
	reduce.Reduce(taskhost.Description{
		Summary: "Counts words; lines `word<TAB>count`, sorted by bytes.",
		Split:   "blocks:1MiB",
		Merge:   "reduce",
	}, process, combine, func(total []byte) ([]byte, error) { return total, nil })
}

func process(item []byte) ([]byte, error) {
	counts := map[string]uint64{}
	isSpace := func(letter rune) bool { return letter == ' ' || letter >= '\t' && letter <= '\r' }
	for word := range bytes.FieldsFuncSeq(item, isSpace) {
		counts[string(word)]++
	}
	return written(counts), nil
}

func combine(parts [][]byte) ([]byte, error) {
	counts := map[string]uint64{}
	for _, part := range parts {
		for line := range bytes.Lines(part) {
			word, digits, _ := bytes.Cut(line[:len(line)-1], []byte{'\t'})
			count, err := strconv.ParseUint(string(digits), 10, 64)
			if err != nil {
				return nil, errors.New("a partial result is damaged")
			}
			counts[string(word)] += count
		}
	}
	return written(counts), nil
}

func written(counts map[string]uint64) []byte {
	var text []byte
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		text = append(append(text, word...), '\t')
		text = append(strconv.AppendUint(text, counts[word], 10), '\n')
	}
	return text
}

func main() {}
