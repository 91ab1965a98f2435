// 255 minus every byte.
import { described, placeOf } from "./taskhost";
export { taskhost_alloc, taskhost_error } from "./taskhost";

export function taskhost_describe(): u64 {
  return described("Inverts every byte: 255 - byte.", "chunks:256KiB", "concat", "same");
}

export function taskhost_process(at: usize, length: u32): u64 {
  for (let i: u32 = 0; i < length; i++) store<u8>(at + i, 255 - load<u8>(at + i));
  return placeOf(at, length);
}
