// Standard input backwards, to standard output: one item to a run.
package main

import (
	"io"
	"log"
	"os"
	"slices"
)

func main() {
	item, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	slices.Reverse(item)
	if _, err := os.Stdout.Write(item); err != nil {
		log.Fatal(err)
	}
}
