// Each line backwards.
import { described, placeOf } from "./taskhost";
export { taskhost_alloc, taskhost_error } from "./taskhost";

export function taskhost_describe(): u64 {
  return described("Each line backwards, byte by byte.", "lines", "lines", "same");
}

export function taskhost_process(at: usize, length: u32): u64 {
  for (let i: u32 = 0; i < length / 2; i++) {
    const byte = load<u8>(at + i);
    store<u8>(at + i, load<u8>(at + length - 1 - i));
    store<u8>(at + length - 1 - i, byte);
  }
  return placeOf(at, length);
}
