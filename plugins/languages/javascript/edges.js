// How far the samples above and below each sample differ: a filter that needs one row of context on each side.
import { description, invalidInput, row, rowBytes } from "./taskhost.js";

export const describe = description({ summary: "Differences between the rows above and below." });

export const imageFilter = {
  prepare(input) {
    if (input.sample !== "unsigned8") throw invalidInput("expected samples of 8 bits");
    return { cut: { tag: "strips", val: 1 }, output: input };
  },
  filter(tile) {
    const width = rowBytes(tile.image);
    const result = new Uint8Array(tile.rows * width);
    for (let i = 0; i < tile.rows; i++) {
      const above = row(tile, tile.firstRow + i - 1), below = row(tile, tile.firstRow + i + 1);
      for (let x = 0; x < width; x++) result[i * width + x] = Math.abs(above[x] - below[x]);
    }
    return result;
  },
};
