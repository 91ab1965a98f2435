// Gives up at the item `boom`: to see what its user is told.
package main

import "kernels/taskhost"

func init() {
	taskhost.Map(taskhost.Description{Summary: "Gives up at `boom`.", Split: "lines", Merge: "lines"},
		func(item []byte) ([]byte, error) {
			if string(item) == "boom" {
				panic("the item went boom")
			}
			return item, nil
		})
}

func main() {}
