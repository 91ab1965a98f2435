"""How far the samples above and below each sample differ: a filter that needs one row of context on each side."""

import taskhost
from wit_world.exports import image_filter


class Describe(taskhost.describe("Differences between the rows above and below.")):
    pass


class ImageFilter:
    def prepare(self, input: image_filter.Format) -> image_filter.Plan:
        if input.sample != image_filter.Sample.UNSIGNED8:
            raise taskhost.invalid_input("expected samples of 8 bits")
        return image_filter.Plan(image_filter.Cut_Strips(1), input)

    def filter(self, tile: image_filter.Tile) -> bytes:
        result = bytearray()
        for row in range(tile.first_row, tile.first_row + tile.rows):
            above, below = taskhost.row(tile, row - 1), taskhost.row(tile, row + 1)
            result += bytes(abs(up - down) for up, down in zip(above, below))
        return bytes(result)
