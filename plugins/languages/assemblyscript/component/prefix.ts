// A setting in front of each line; it is looked at once, before the first item.
import { Bytes } from "../taskhost";
import { described, failed, ok, Setting, setting } from "./component";
export { after, cabi_realloc } from "./component";

export function describe__describe(): usize {
  return described("Puts a text in front of each line.", "lines", "lines", false, [
    new Setting("with", "> ", "What to put in front of each line."),
  ]);
}

let prefix = new Bytes();

export function lifecycle__start(): usize {
  const given = setting("with");
  prefix = new Bytes().utf8(given ? given : "");
  if (prefix.length < 1 || prefix.length > 63) return failed("`with` must have 1 to 63 bytes");
  return ok(new Bytes());
}

export function mapper__process(at: usize, length: u32): usize {
  return ok(new Bytes().copy(prefix.at, prefix.length).copy(at, length));
}
