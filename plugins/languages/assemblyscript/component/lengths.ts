// How many bytes each line has; many lines to one call.
import { Bytes } from "../taskhost";
import { described, invalidInput, ok, Packed } from "./component";
export { after, cabi_realloc } from "./component";

export function describe__describe(): usize { return described("Length of each line.", "lines", "lines"); }

const COMMENT = "a comment has no length";

function isComment(at: usize, length: u32): bool { return length > 0 && load<u8>(at) == 0x23; }

export function mapper__process(at: usize, length: u32): usize {
  return isComment(at, length) ? invalidInput(COMMENT) : ok(new Bytes().decimal(length));
}

export function packed_mapper__process(bytes: usize, length: u32, ends: usize, count: u32): usize {
  const all = new Packed();
  let start: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const end = load<u32>(ends + 4 * i);
    if (isComment(bytes + start, end - start)) all.invalidInput(COMMENT);
    else all.push(new Bytes().decimal(end - start));
    start = end;
  }
  return all.done();
}
