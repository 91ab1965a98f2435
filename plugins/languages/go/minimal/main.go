// Each item in capitals (ASCII). The smallest kernel: one function, and what it is good for stands on the command line.
package main

import "kernels/taskhost"

func init() {
	taskhost.Map(taskhost.Description{}, func(item []byte) ([]byte, error) {
		for i, letter := range item {
			if letter >= 'a' && letter <= 'z' {
				item[i] = letter - 'a' + 'A'
			}
		}
		return item, nil
	})
}

func main() {}
