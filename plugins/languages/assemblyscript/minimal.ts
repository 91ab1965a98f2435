// Each item in capitals (ASCII). The smallest kernel: two functions, and what it is good for stands on the command line.
import { placeOf } from "./taskhost";
export { taskhost_alloc } from "./taskhost";

export function taskhost_process(at: usize, length: u32): u64 {
  for (let i: u32 = 0; i < length; i++) {
    const byte = load<u8>(at + i);
    if (byte >= 0x61 && byte <= 0x7a) store<u8>(at + i, byte - 0x20);
  }
  return placeOf(at, length);
}
