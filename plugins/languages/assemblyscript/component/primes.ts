// `lo hi` on each line: how many primes lie in [lo, hi); as ../primes.ts, as a component.
import { primesOf } from "../primes";
import { Bytes, latin1 } from "../taskhost";
import { described, failed, invalidInput, ok, parts } from "./component";
export { after, cabi_realloc } from "./component";

export function describe__describe(): usize {
  return described("Counts the primes in [lo, hi) for each line `lo hi`; --merge reduce gives the sum.", "lines", "lines");
}

export function mapper__process(at: usize, length: u32): usize {
  const count = primesOf(latin1(at, length));
  return count < 0 ? invalidInput("expected two whole numbers `lo hi`") : ok(new Bytes().decimal(count));
}

export function reducer__combine(at: usize, count: u32): usize {
  let sum: u64 = 0;
  const all = parts(at, count);
  for (let i = 0; i < all.length; i++) {
    const text = latin1(all[i].at, all[i].length);
    if (text.length == 0) return failed("a partial result is not a number");
    sum += U64.parseInt(text);
  }
  return ok(new Bytes().decimal(sum));
}

export function reducer__finish(at: usize, length: u32): usize { return ok(new Bytes().copy(at, length).text("\n")); }
