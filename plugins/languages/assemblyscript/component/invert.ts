// 255 minus every byte.
import { described, okAt } from "./component";
export { after, cabi_realloc } from "./component";

export function describe__describe(): usize {
  return described("Inverts every byte: 255 - byte.", "chunks:256KiB", "concat", true);
}

export function mapper__process(at: usize, length: u32): usize {
  for (let i: u32 = 0; i < length; i++) store<u8>(at + i, 255 - load<u8>(at + i));
  return okAt(at, length);
}
