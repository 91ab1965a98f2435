// How far the samples above and below each sample differ: a filter that needs one row of context on each side.
package main

import "kernels/taskhost"

func init() {
	taskhost.Image(taskhost.Description{Summary: "Differences between the rows above and below."}, prepare, filter)
}

func prepare(input taskhost.Format) (taskhost.Plan, error) {
	if input.Sample != taskhost.Unsigned8 {
		return taskhost.Plan{}, taskhost.InvalidInput("expected samples of 8 bits")
	}
	return taskhost.Plan{Halo: 1, Output: input}, nil
}

func filter(tile taskhost.Tile) ([]byte, error) {
	var result []byte
	for row := int(tile.FirstRow); row < int(tile.FirstRow+tile.Rows); row++ {
		above, below := tile.Row(row-1), tile.Row(row+1)
		for x := range above {
			result = append(result, max(above[x], below[x])-min(above[x], below[x]))
		}
	}
	return result, nil
}

func main() {}
