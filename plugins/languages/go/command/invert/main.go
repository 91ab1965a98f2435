// 255 minus every byte of standard input, to standard output.
package main

import (
	"io"
	"log"
	"os"
)

func main() {
	item, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	for i, value := range item {
		item[i] = 255 - value
	}
	if _, err := os.Stdout.Write(item); err != nil {
		log.Fatal(err)
	}
}
