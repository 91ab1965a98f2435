// How often each word occurs: lines `word<TAB>count`, sorted by bytes. A partial result is the same text.
import { Bytes, described, latin1, parts, place, placeOf } from "./taskhost";
export { taskhost_alloc, taskhost_error } from "./taskhost";

export function taskhost_describe(): u64 {
  return described("Counts words; lines `word<TAB>count`, sorted by bytes.", "blocks:1MiB", "reduce");
}

export function taskhost_process(at: usize, length: u32): u64 {
  const counts = new Map<string, u64>();
  const end = at + length;
  while (at < end) {
    const start = at;
    while (at < end && !isSpace(load<u8>(at))) at++;
    if (at > start) add(counts, latin1(start, <u32>(at - start)), 1);
    else at++;
  }
  return written(counts);
}

export function taskhost_combine(at: usize, length: u32): u64 {
  const counts = new Map<string, u64>();
  const all = parts(at);
  for (let i = 0; i < all.length; i++) {
    let at = all[i].at;
    const end = at + all[i].length;
    while (at < end) {
      const start = at;
      while (load<u8>(at) != 0x09) at++;
      const word = latin1(start, <u32>(at - start));
      let count: u64 = 0;
      for (at++; load<u8>(at) != 0x0a; at++) count = count * 10 + load<u8>(at) - 0x30;
      add(counts, word, count);
      at++;
    }
  }
  return written(counts);
}

export function taskhost_finish(at: usize, length: u32): u64 {
  return placeOf(at, length);
}

function isSpace(byte: u8): bool {
  return byte == 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function add(counts: Map<string, u64>, word: string, count: u64): void {
  counts.set(word, (counts.has(word) ? counts.get(word) : 0) + count);
}

function written(counts: Map<string, u64>): u64 {
  const text = new Bytes();
  const words = counts.keys().sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  for (let i = 0; i < words.length; i++) text.text(words[i]).text("\t").decimal(counts.get(words[i])).text("\n");
  return place(text);
}
