// How many bytes each line has. The host hands many lines to one call; nothing here knows of it.
package main

import (
	"bytes"

	"kernels/taskhost"
)

func init() {
	taskhost.Map(taskhost.Description{Summary: "Length of each line.", Split: "lines", Merge: "lines"}, length)
}

func length(item []byte) ([]byte, error) {
	if bytes.HasPrefix(item, []byte("#")) {
		return nil, taskhost.InvalidInput("a comment has no length")
	}
	return taskhost.Decimal(uint64(len(item))), nil
}

func main() {}
