// The words of each line, each a result of its own: none, one or many for an item.
import { bytes, description, invalidInput, latin1 } from "./taskhost.js";

export const describe = description({ summary: "The words of each line.", split: "lines", merge: "lines" });

export const flatMapper = {
  process(item) {
    if (item.includes(0)) throw invalidInput("a NUL byte is in no word");
    return (latin1(item).match(/[^ \t-\r]+/g) ?? []).map(bytes);
  },
};
