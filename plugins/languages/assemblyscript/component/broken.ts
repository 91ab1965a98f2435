// Gives up at the item `boom`: to see what its user is told.
import { latin1 } from "../taskhost";
import { described, okAt } from "./component";
export { after, cabi_realloc } from "./component";

export function describe__describe(): usize { return described("Gives up at `boom`.", "lines", "lines"); }

export function mapper__process(at: usize, length: u32): usize {
  if (latin1(at, length) == "boom") throw new Error("the item went boom");
  return okAt(at, length);
}
