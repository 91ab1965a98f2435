// `lo hi` on each line: how many primes lie in [lo, hi). By trial division: the work is the point.
import { Bytes, described, failed, invalidInput, latin1, parts, place } from "./taskhost";
export { taskhost_alloc, taskhost_error } from "./taskhost";

export function taskhost_describe(): u64 {
  return described("Counts the primes in [lo, hi) for each line `lo hi`; --merge reduce gives the sum.", "lines", "lines");
}

export function taskhost_process(at: usize, length: u32): u64 {
  const count = primesOf(latin1(at, length));
  return count < 0 ? invalidInput("expected two whole numbers `lo hi`") : place(new Bytes().decimal(count));
}

/** How many primes lie in the range that the text is; -1 when it is none. */
export function primesOf(text: string): i64 {
  const words = text.replaceAll("\t", " ").trim().split(" ").filter((word) => word.length > 0);
  if (words.length != 2 || !isNumber(words[0]) || !isNumber(words[1])) return -1;
  let count: i64 = 0;
  const high = U32.parseInt(words[1]);
  for (let number = U32.parseInt(words[0]); number < high; number++) count += i64(isPrime(number));
  return count;
}

export function taskhost_combine(at: usize, length: u32): u64 {
  let sum: u64 = 0;
  const all = parts(at);
  for (let i = 0; i < all.length; i++) {
    const text = latin1(all[i].at, all[i].length);
    if (text.length == 0) return failed("a partial result is not a number");
    sum += U64.parseInt(text);
  }
  return place(new Bytes().decimal(sum));
}

export function taskhost_finish(at: usize, length: u32): u64 {
  return place(new Bytes().copy(at, length).text("\n"));
}

function isNumber(text: string): bool {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) < 0x30 || text.charCodeAt(i) > 0x39) return false;
  }
  return text.length <= 9;
}

function isPrime(number: u32): bool {
  if (number < 2) return false;
  for (let divisor: u32 = 2; divisor <= number / divisor; divisor++) {
    if (number % divisor == 0) return false;
  }
  return true;
}
