// The words of each line, each a result of its own: none, one or many for an item.
import { described, invalidInput, okMany, Part } from "./component";
export { after, cabi_realloc } from "./component";

export function describe__describe(): usize { return described("The words of each line.", "lines", "lines"); }

function isSpace(byte: u8): bool { return byte == 0x20 || (byte >= 0x09 && byte <= 0x0d); }

export function flat_mapper__process(item: usize, length: u32): usize {
  const words = new Array<Part>();
  const end = item + length;
  for (let at = item; at < end; ) {
    const start = at;
    while (at < end && !isSpace(load<u8>(at))) {
      if (load<u8>(at++) == 0) return invalidInput("a NUL byte is in no word");
    }
    if (at > start) words.push(new Part(start, <u32>(at - start)));
    else at++;
  }
  return okMany(words);
}
