package taskhost

// Sample is the type of one sample of a picture, little-endian.
type Sample uint8

// The types of samples.
const (
	Unsigned8 Sample = iota
	Unsigned16
	Signed16
	Unsigned32
	Signed32
	Float32
	Float64
)

// Format is what a picture is. Its samples follow each other row by row, the channels of a pixel together.
type Format struct {
	Width, Height uint32
	Channels      uint32 // 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; other numbers for raw data.
	Sample        Sample
}

// RowBytes is how many bytes one row has.
func (format Format) RowBytes() int {
	return int(format.Width) * int(format.Channels) * []int{1, 2, 2, 4, 4, 4, 8}[format.Sample]
}

// Plan is how a picture may be cut, and what comes of it.
type Plan struct {
	Whole  bool   // Not cut at all.
	Halo   uint32 // Otherwise: rows above and below that each strip needs.
	Output Format // With strips as high as the input.
}

// Tile is a strip of a picture, or all of it.
type Tile struct {
	Image        Format // Of the whole picture.
	FirstRow     uint32 // Row of the picture at which the tile's own rows begin.
	Rows         uint32 // Own rows: those to be returned.
	Above, Below uint32 // Context rows that are there; fewer than the halo at the picture's edges.
	Samples      []byte // Above + Rows + Below rows, without padding.
}

// Row is a row of the picture; rows beyond the picture are its outermost ones.
func (tile Tile) Row(row int) []byte {
	row = min(max(row, 0), int(tile.Image.Height)-1) - (int(tile.FirstRow) - int(tile.Above))
	length := tile.Image.RowBytes()
	return tile.Samples[row*length : (row+1)*length]
}

// Image makes the kernel of a filter of pictures. Components only.
func Image(described Description, prepare func(input Format) (Plan, error), filter func(tile Tile) ([]byte, error)) {
	description, prepareImage, filterTile = described, prepare, filter
}

var (
	prepareImage = func(Format) (Plan, error) { return Plan{}, errNothing }
	filterTile   = func(Tile) ([]byte, error) { return nil, errNothing }
)
