// 255 minus every byte.
import { description } from "./taskhost.js";

export const describe = description({
  summary: "Inverts every byte: 255 - byte.",
  split: "chunks:256KiB",
  merge: "concat",
  resultLength: "same",
});

export const mapper = {
  process: (item) => item.map((byte) => 255 - byte),
};
