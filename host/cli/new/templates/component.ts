// Each line backwards.
import { described, okAt } from "./component";
export { after, cabi_realloc } from "./component";

export function describe__describe(): usize {
  return described("Each line backwards, byte by byte.", "lines", "lines", true);
}

export function mapper__process(at: usize, length: u32): usize {
  for (let i: u32 = 0; i < length / 2; i++) {
    const byte = load<u8>(at + i);
    store<u8>(at + i, load<u8>(at + length - 1 - i));
    store<u8>(at + length - 1 - i, byte);
  }
  return okAt(at, length);
}
