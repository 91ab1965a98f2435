// Each line backwards.
package main

import (
	"slices"

	"kernels/taskhost"
)

func init() {
	taskhost.Map(taskhost.Description{
		Summary:      "Each line backwards, byte by byte.",
		Split:        "lines",
		Merge:        "lines",
		ResultLength: "same",
	}, func(line []byte) ([]byte, error) {
		slices.Reverse(line)
		return line, nil
	})
}

func main() {}
