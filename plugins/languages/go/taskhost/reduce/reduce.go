// Package reduce is for kernels that make one result out of many. It is a package of its own because a module exports what
// its packages export: one that does not reduce must not have these.
package reduce

import "kernels/taskhost"

// Reduce makes the kernel of three functions: process makes a partial result of each item, combine joins consecutive ones
// (none gives the result of nothing; it must be associative), finish turns the last one into what the user sees.
func Reduce(
	description taskhost.Description,
	process func(item []byte) ([]byte, error),
	combine func(parts [][]byte) ([]byte, error),
	finish func(total []byte) ([]byte, error),
) {
	taskhost.Map(description, process)
	taskhost.Reducing(combine, finish)
}
