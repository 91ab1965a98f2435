// How far the samples above and below each sample differ: a filter that needs one row of context on each side.
import { described, invalidInput, okAt, room, strips } from "./component";
export { after, cabi_realloc } from "./component";

export function describe__describe(): usize { return described("Differences between the rows above and below."); }

export function image_filter__prepare(width: u32, height: u32, channels: u32, sample: u32): usize {
  return sample == 0 ? strips(1, width, height, channels, sample) : invalidInput("expected samples of 8 bits");
}

export function image_filter__filter(
  width: u32, height: u32, channels: u32, sample: u32, firstRow: u32, rows: u32, above: u32, below: u32, at: usize, length: u32,
): usize {
  const row = width * channels;
  const last = above + rows + below - 1;
  const result = room(rows * row);
  for (let i: u32 = 0; i < rows; i++) {
    // Rows of the tile: without context, at the picture's edges, a row stands for its neighbour.
    const own = above + i;
    const up = at + (max(own, 1) - 1) * row;
    const down = at + min(own + 1, last) * row;
    for (let x: u32 = 0; x < row; x++) {
      const a = load<u8>(up + x);
      const b = load<u8>(down + x);
      store<u8>(result + i * row + x, a > b ? a - b : b - a);
    }
  }
  return okAt(result, rows * row);
}
