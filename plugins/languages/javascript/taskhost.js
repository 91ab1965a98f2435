// taskhost.js: what a taskhost kernel in JavaScript is written with. Items and results are Uint8Arrays.
//
//     import { bytes, description } from "./taskhost.js";
//
//     export const describe = description({ summary: "Length of each line.", split: "lines", merge: "lines" });
//     export const mapper = { process: (item) => bytes(`${item.length}`) };
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
