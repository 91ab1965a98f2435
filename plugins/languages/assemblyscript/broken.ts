// Gives up at the item `boom`: to see what its user is told.
import { described, latin1, placeOf } from "./taskhost";
export { taskhost_alloc, taskhost_error } from "./taskhost";

export function taskhost_describe(): u64 {
  return described("Gives up at `boom`.", "lines", "lines");
}

export function taskhost_process(at: usize, length: u32): u64 {
  if (latin1(at, length) == "boom") throw new Error("the item went boom");
  return placeOf(at, length);
}
