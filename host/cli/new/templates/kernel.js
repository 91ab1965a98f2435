// Each line backwards.
import { description } from "./taskhost.js";

export const describe = description({
  summary: "Each line backwards, byte by byte.",
  split: "lines",
  merge: "lines",
  resultLength: "same",
});

export const mapper = {
  process: (line) => line.slice().reverse(),
};
