// `lo hi` on each line: how many primes lie in [lo, hi). By trial division: the work is the point.
package main

import (
	"bytes"
	"strconv"

	"kernels/taskhost"
	"kernels/taskhost/reduce"
)

func init() {
	reduce.Reduce(taskhost.Description{
		Summary: "Counts the primes in [lo, hi) for each line `lo hi`; --merge reduce gives the sum.",
		Split:   "lines",
		Merge:   "lines",
	}, process, combine, finish)
}

func process(item []byte) ([]byte, error) {
	words := bytes.Fields(item)
	if len(words) != 2 {
		return nil, taskhost.InvalidInput("expected two whole numbers `lo hi`")
	}
	low, lowError := strconv.ParseUint(string(words[0]), 10, 32)
	high, highError := strconv.ParseUint(string(words[1]), 10, 32)
	if lowError != nil || highError != nil {
		return nil, taskhost.InvalidInput("expected two whole numbers `lo hi`")
	}
	count := uint64(0)
	for number := uint32(low); number < uint32(high); number++ {
		if isPrime(number) {
			count++
		}
	}
	return taskhost.Decimal(count), nil
}

func combine(parts [][]byte) ([]byte, error) {
	sum := uint64(0)
	for _, part := range parts {
		count, err := strconv.ParseUint(string(part), 10, 64)
		if err != nil {
			return nil, err
		}
		sum += count
	}
	return taskhost.Decimal(sum), nil
}

func finish(total []byte) ([]byte, error) { return append(total, '\n'), nil }

func isPrime(number uint32) bool {
	if number < 2 {
		return false
	}
	for divisor := uint32(2); divisor <= number/divisor; divisor++ {
		if number%divisor == 0 {
			return false
		}
	}
	return true
}

func main() {}
