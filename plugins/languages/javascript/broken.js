// Gives up at the item `boom`: to see what its user is told.
import { description, latin1 } from "./taskhost.js";

export const describe = description({ summary: "Gives up at `boom`.", split: "lines", merge: "lines" });

export const mapper = {
  process(item) {
    if (latin1(item) === "boom") throw new Error("the item went boom");
    return item;
  },
};
