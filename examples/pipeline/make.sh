#!/usr/bin/env bash
# Makes eight CSV files, of which every thousandth row is damaged: make.sh FOLDER [ROWS]
set -euo pipefail
folder=$1
rows=${2:-5000}

mkdir -p "$folder"
for number in 0 1 2 3 4 5 6 7; do
    awk -v rows="$rows" -v number="$number" 'BEGIN {
        print "id,value"
        for (row = 0; row < rows; row++) {
            id = number * rows + row
            if (id % 1000 == 999) printf "%d,?\n", id
            else printf "%d,%d.%02d\n", id, id % 97, id % 100
        }
    }' >"$folder/part-$number.csv"
done
