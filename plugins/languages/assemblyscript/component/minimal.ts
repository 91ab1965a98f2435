// Each item in capitals (ASCII). The smallest kernel: one function, and what it is good for stands on the command line.
import { okAt } from "./component";
export { after, cabi_realloc } from "./component";

export function mapper__process(at: usize, length: u32): usize {
  for (let i: u32 = 0; i < length; i++) {
    const byte = load<u8>(at + i);
    if (byte >= 0x61 && byte <= 0x7a) store<u8>(at + i, byte - 0x20);
  }
  return okAt(at, length);
}
