// How often each word occurs: lines `word<TAB>count`, sorted by bytes. A partial result is the same text.
import { bytes, description, latin1 } from "./taskhost.js";

export const describe = description({
  summary: "Counts words; lines `word<TAB>count`, sorted by bytes.",
  split: "blocks:1MiB",
  merge: "reduce",
});

const add = (counts, word, count) => counts.set(word, (counts.get(word) ?? 0) + count);

// Texts with a byte in each character sort as the bytes do.
const written = (counts) => bytes([...counts.keys()].sort().map((word) => `${word}\t${counts.get(word)}\n`).join(""));

export const mapper = {
  process(item) {
    const counts = new Map();
    for (const word of latin1(item).match(/[^ \t-\r]+/g) ?? []) add(counts, word, 1);
    return written(counts);
  },
};

export const reducer = {
  combine(parts) {
    const counts = new Map();
    for (const part of parts) {
      for (const line of latin1(part).split("\n").slice(0, -1)) {
        const [word, count] = line.split("\t");
        add(counts, word, Number(count));
      }
    }
    return written(counts);
  },
  finish: (total) => total,
};
