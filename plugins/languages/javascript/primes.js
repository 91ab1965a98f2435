// `lo hi` on each line: how many primes lie in [lo, hi). By trial division: the work is the point.
import { bytes, description, invalidInput, latin1 } from "./taskhost.js";

export const describe = description({
  summary: "Counts the primes in [lo, hi) for each line `lo hi`; --merge reduce gives the sum.",
  split: "lines",
  merge: "lines",
});

function isPrime(number) {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) {
    if (number % divisor === 0) return false;
  }
  return true;
}

export const mapper = {
  process(item) {
    const range = /^\s*(\d{1,15})\s+(\d{1,15})\s*$/.exec(latin1(item));
    if (!range) throw invalidInput("expected two whole numbers `lo hi`");
    let count = 0;
    for (let number = Number(range[1]); number < Number(range[2]); number++) count += isPrime(number);
    return bytes(`${count}`);
  },
};

export const reducer = {
  combine: (parts) => bytes(`${parts.reduce((sum, part) => sum + BigInt(latin1(part)), 0n)}`),
  finish: (total) => bytes(`${latin1(total)}\n`),
};
