#!/usr/bin/env bash
# Times the examples beside their Python programs, both with two workers: compare.sh [TASKHOST [FOLDER]]
#
# Needs hyperfine, and a machine with nothing else to do. Prints a row for each example: the medians, in seconds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=$(realpath "$(command -v "${1:-taskhost}")")
mkdir -p "${2:-out}"
cd "${2:-out}"

seq 0 1999 | "$taskhost" run -q "$here/sobel/noise.wat" -o image.raw
seq 0 1000 99000 | while read -r low; do echo "$low $((low + 1000))"; done >ranges.txt
"$here/csv/make.sh" csv
seq 0 2159 >rows.txt

# row NAME HYPERFINE-ARGUMENTS… : two commands, and how many times faster the second is
row() {
    local name=$1
    shift
    hyperfine -N --export-csv times.csv "$@" >/dev/null 2>&1
    awk -F, -v name="$name" 'NR > 1 { median[NR] = $(NF - 4) }
        END { printf "| %s | %.3f | %.3f | %.1f |\n", name, median[2], median[3], median[2] / median[3] }' times.csv
}

echo '| | Python, 2 processes | taskhost, 2 workers | times |'
echo '| --- | --- | --- | --- |'
row 'Sobel, 2000×2000 float64' -r 3 "python3 $here/sobel/sobel.py image.raw python.raw 2" \
    "$taskhost run -q -j 2 sobel image.raw --size 2000x2000 --sample f64 -o edges.raw"
row 'primes below 100,000' -w 1 -r 10 "python3 $here/primes/primes.py 100000 1000 2" \
    "$taskhost run -q -j 2 primes ranges.txt --merge reduce"
row 'eight CSV files' -r 5 "python3 $here/csv/rows_and_sum.py 2 $(echo csv/*.csv)" "$taskhost run -q -j 2 csv-stats --header csv"

echo
echo '| | 1 worker | 2 workers | times |'
echo '| --- | --- | --- | --- |'
mandelbrot="$taskhost run -q mandelbrot -c width=3840 -c height=2160 rows.txt -o mandelbrot.raw"
row 'Mandelbrot, 3840×2160' -w 1 -r 5 "$mandelbrot -j 1" "$mandelbrot -j 2"
primes="$taskhost run -q primes more.txt --merge reduce"
seq 0 1000 1999000 | while read -r low; do echo "$low $((low + 1000))"; done >more.txt
row 'primes below 2,000,000' -w 1 -r 5 "$primes -j 1" "$primes -j 2"
