// 255 minus every byte.
package main

import "kernels/taskhost"

func init() {
	taskhost.Map(taskhost.Description{
		Summary:      "Inverts every byte: 255 - byte.",
		Split:        "chunks:256KiB",
		Merge:        "concat",
		ResultLength: "same",
	}, func(item []byte) ([]byte, error) {
		for i, value := range item {
			item[i] = 255 - value
		}
		return item, nil
	})
}

func main() {}
