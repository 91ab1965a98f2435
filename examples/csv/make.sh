#!/bin/sh
# Makes eight CSV files, always the same: make.sh FOLDER [ROWS of each file]
# Values come from the "minimal standard" generator, whose products awk's numbers hold exactly.
set -eu
folder=$1
rows=${2:-50000}
mkdir -p "$folder"
for number in 1 2 3 4 5 6 7 8; do
    awk -v rows="$rows" -v number="$number" 'BEGIN {
        print "id,station,value"
        state = number
        for (row = 0; row < rows; row++) {
            state = state * 16807 % 2147483647
            micro = state % 200000000
            printf "%d,\"Station %d, North\",%d.%06d\n", row, number, micro / 1000000, micro % 1000000
        }
    }' >"$folder/part-$number.csv"
done
