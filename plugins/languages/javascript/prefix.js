// A setting in front of each line; it is looked at once, before the first item.
import { get } from "taskhost:kernel/config@1.0.0";
import { bytes, description, failed } from "./taskhost.js";

export const describe = description({
  summary: "Puts a text in front of each line.",
  split: "lines",
  merge: "lines",
  settings: [{ name: "with", default: "> ", help: "What to put in front of each line." }],
});

let prefix;

export const lifecycle = {
  start() {
    prefix = bytes(get("with"));
    if (prefix.length < 1 || prefix.length > 63) throw failed("`with` must have 1 to 63 bytes");
  },
};

export const mapper = {
  process(item) {
    const result = new Uint8Array(prefix.length + item.length);
    result.set(prefix);
    result.set(item, prefix.length);
    return result;
  },
};
