// `lo hi` on standard input: how many primes lie in [lo, hi).
package main

import (
	"fmt"
	"os"
)

func main() {
	var low, high uint32
	var more string
	if count, _ := fmt.Fscan(os.Stdin, &low, &high, &more); count != 2 {
		fmt.Fprintln(os.Stderr, "expected two whole numbers `lo hi`")
		os.Exit(1)
	}
	count := 0
	for ; low < high; low++ {
		if isPrime(low) {
			count++
		}
	}
	fmt.Print(count)
}

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
