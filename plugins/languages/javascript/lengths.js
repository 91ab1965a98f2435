// How many bytes each line has; many lines to one call.
import { bytes, description, invalidInput, packed } from "./taskhost.js";

export const describe = description({ summary: "Length of each line.", split: "lines", merge: "lines" });

export const mapper = {
  process(item) {
    if (item[0] === "#".charCodeAt(0)) throw invalidInput("a comment has no length");
    return bytes(`${item.length}`);
  },
};

export const packedMapper = packed(mapper);
