// The words of each line, each a result of its own: none, one or many for an item.
package main

import (
	"bytes"

	"kernels/taskhost"
)

func init() {
	taskhost.Flat(taskhost.Description{Summary: "The words of each line.", Split: "lines", Merge: "lines"}, words)
}

func words(item []byte) ([][]byte, error) {
	if bytes.IndexByte(item, 0) >= 0 {
		return nil, taskhost.InvalidInput("a NUL byte is in no word")
	}
	isSpace := func(letter rune) bool { return letter == ' ' || letter >= '\t' && letter <= '\r' }
	return bytes.FieldsFunc(item, isSpace), nil
}

func main() {}
