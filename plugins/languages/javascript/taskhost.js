// taskhost.js: what a taskhost kernel in JavaScript is written with. Items and results are Uint8Arrays.
//
//     import { bytes, description } from "./taskhost.js";
//
//     export const describe = description({ summary: "Length of each line.", split: "lines", merge: "lines" });
//     export const mapper = { process: (item) => bytes(`${item.length}`) };
//
// What it exports has the names of the interfaces of its world, in JavaScript's spelling: mapper, flatMapper, packedMapper,
// reducer, imageFilter, describe, lifecycle. What the host offers is imported by its full name:
//
//     import { get } from "taskhost:kernel/config@1.0.0";
//
// A kernel keeps nothing from item to item: any worker may get any item, in any order, more than once.

// What a kernel says of itself. `resultLength` is "unknown", "same" or a number of bytes.
export function description({ summary, split = "whole", merge = "concat", resultLength = "unknown", settings = [] }) {
  const length = typeof resultLength === "number" ? { tag: "exactly", val: resultLength } : { tag: resultLength };
  return { describe: () => ({ summary, split, merge, resultLength: length, settings }) };
}

// Errors to be thrown; the text goes to the user as it is: say what is wrong and where.
export const invalidInput = (text) => ({ tag: "invalid-input", val: text });
export const failed = (text) => ({ tag: "failed", val: text });
export const temporary = (text) => ({ tag: "temporary", val: text });

// Bytes as a text with a byte in each character: compares and sorts as the bytes do.
export function latin1(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += 4096) pieces.push(String.fromCharCode(...bytes.subarray(at, at + 4096)));
  return pieces.join("");
}

// The bytes of a text with a byte in each character.
export function bytes(text) {
  const all = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) all[i] = text.charCodeAt(i);
  return all;
}

// Many small items in one call, over a mapper or a flat mapper; for a world that exports packed-mapper:
//
//     export const packedMapper = packed(mapper);
export function packed(mapper) {
  const several = (results) => (Array.isArray(results) ? results : [results]);
  return {
    process({ bytes: all, ends }) {
      const pieces = [], counts = [], failures = [];
      let start = 0;
      ends.forEach((end, position) => {
        try {
          const results = several(mapper.process(all.slice(start, end)));
          counts.push(results.length);
          pieces.push(...results);
        } catch (error) {
          // What is no error of the contract is a fault of the kernel.
          if (!error?.tag) throw error;
          counts.push(0);
          failures.push([position, error]);
        }
        start = end;
      });
      return { results: joined(pieces), counts: Uint32Array.from(counts), failures };
    },
  };
}

// Byte strings laid end to end.
function joined(pieces) {
  const ends = new Uint32Array(pieces.length);
  let length = 0;
  pieces.forEach((piece, i) => (ends[i] = length += piece.length));
  const bytes = new Uint8Array(length);
  pieces.forEach((piece, i) => bytes.set(piece, ends[i] - piece.length));
  return { bytes, ends };
}

// Bytes of a sample, by its type.
const sampleBytes = { unsigned8: 1, unsigned16: 2, signed16: 2, unsigned32: 4, signed32: 4, float32: 4, float64: 8 };

// Bytes of one row of pictures of a format.
export const rowBytes = (format) => format.width * format.channels * sampleBytes[format.sample];

// Row `row` of a tile's picture; rows beyond the picture are its outermost ones.
export function row(tile, row) {
  const length = rowBytes(tile.image);
  const at = (Math.min(Math.max(row, 0), tile.image.height - 1) - (tile.firstRow - tile.above)) * length;
  return tile.samples.subarray(at, at + length);
}
