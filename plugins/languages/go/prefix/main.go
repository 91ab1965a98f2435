// A setting in front of each line; it is looked at once, before the first item.
package main

import (
	"errors"

	"kernels/taskhost"
)

var prefix []byte

func init() {
	fallback := "> "
	taskhost.Map(taskhost.Description{
		Summary:  "Puts a text in front of each line.",
		Split:    "lines",
		Merge:    "lines",
		Settings: []taskhost.Setting{{Name: "with", Default: &fallback, Help: "What to put in front of each line."}},
	}, func(item []byte) ([]byte, error) { return append(prefix[:len(prefix):len(prefix)], item...), nil })
	taskhost.Start(func() error {
		with, _ := taskhost.Config("with")
		if len(with) < 1 || len(with) > 63 {
			return errors.New("`with` must have 1 to 63 bytes")
		}
		prefix = []byte(with)
		return nil
	})
}

func main() {}
