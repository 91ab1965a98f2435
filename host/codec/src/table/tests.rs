//! Tables of rows there and back, and what is made of files and results that are damaged.

use super::*;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use proptest::prelude::*;
use taskhost_protocol::fault::ItemPlace;
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::mark::MARK_BYTES;
use taskhost_protocol::stream::PART_LENGTH_BYTES;

struct Held(Vec<u8>);

impl ReadAt for Held {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = self.0.get(from..).and_then(|bytes| bytes.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

fn read(form: TableForm, file: &[u8]) -> Result<Vec<u8>, String> {
    let mut made = Vec::new();
    let len = file.len() as u64;
    read_table(form, Held(file.to_vec()), len, &mut made).map(|()| made).map_err(|error| error.to_string())
}

fn write(results: &[u8]) -> Result<Vec<u8>, String> {
    let mut made = Vec::new();
    write_table(results, &mut made).map(|()| made).map_err(|error| error.to_string())
}

/// A batch of marked results, of items of a byte each: for each item what it gave, in parts.
fn batch(items: &[&[&[u8]]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, results) in items.iter().enumerate() {
        let ordinal = u32::try_from(number).expect("few");
        let place = ItemPlace { source: SourceId(3), offset: number as u64 };
        for result in *results {
            bytes.extend(Mark { place, ordinal, len: 1, result: result.len() as u64 }.encode());
            bytes.extend(*result);
        }
    }
    [&(bytes.len() as u64).to_le_bytes()[..], &bytes].concat()
}

/// What is told of these batches, and the file.
fn taken(batches: &[u8]) -> Result<(Vec<String>, Vec<u8>), String> {
    let (mut told, mut made) = (Vec::new(), Vec::new());
    let tell = |news| {
        told.push(match news {
            TableNews::Misfit { mark, what } => format!("{}: {what}", mark.ordinal),
            TableNews::Batch { bytes } => format!("{bytes} bytes"),
        });
        Ok(())
    };
    take_table(batches, &mut made, tell).map_err(|error| error.to_string())?;
    Ok((told, made))
}

/// What is said of the last of these results, each of which is one item's, all others being taken.
fn misfit(results: &[&[u8]]) -> String {
    let items: Vec<&[&[u8]]> = results.iter().map(std::slice::from_ref).collect();
    let (told, _) = taken(&batch(&items)).expect("it is written");
    assert_eq!(told.len(), 2, "{told:?}");
    told[0].strip_prefix(&format!("{}: ", results.len() - 1)).unwrap_or_else(|| panic!("{told:?}")).to_owned()
}

fn rows(file: &[u8]) -> String {
    String::from_utf8(read(TableForm::Rows, file).expect("it can be read")).expect("text")
}

/// The streams that were written in parts.
fn groups(file: &[u8]) -> Vec<Vec<u8>> {
    let made = read(TableForm::Groups, file).expect("it can be read");
    let (mut left, mut groups, mut group) = (made.as_slice(), Vec::new(), Vec::new());
    while let Some((len, rest)) = left.split_first_chunk::<PART_LENGTH_BYTES>() {
        let (part, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
        if part.is_empty() {
            groups.push(std::mem::take(&mut group));
        }
        group.extend(part);
        left = rest;
    }
    assert!(left.is_empty() && group.is_empty());
    groups
}

fn batches(stream: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(stream, None).expect("a stream").collect::<Result<_, _>>().expect("whole")
}

const PARTS: &str =
    "{\"name\":\"wing\",\"mass\":12.5,\"count\":2,\"new\":true,\"size\":[1,2],\"of\":{\"a\":1,\"b\":null}}
{\"name\":\"gear\",\"mass\":7.0,\"count\":null,\"new\":false,\"size\":[],\"of\":{\"a\":2,\"b\":\"x\"}}
{\"name\":null,\"mass\":0.25,\"count\":-3,\"new\":null,\"size\":null,\"of\":null}
";

#[test]
fn objects_become_rows_and_rows_objects() {
    assert_eq!(rows(&write(PARTS.as_bytes()).expect("it is written")), PARTS);
    // However they are laid out, and in whatever order their names stand.
    let loose = b" {\"a\" : 1, \"b\": \"x\"}{\"b\":\"y\",\"a\":2}\n\n";
    assert_eq!(rows(&write(loose).expect("it is written")), "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}\n");
}

#[test]
fn streams_become_a_file_and_a_file_streams() {
    let file = write(PARTS.as_bytes()).expect("it is written");
    let streams = groups(&file);
    assert_eq!(streams.len(), 1);
    let whole = batches(&streams[0]);
    assert_eq!(whole.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    // A line end between them is no harm: some results are joined by one.
    let twice = [&streams[0][..], b"\n", &streams[0], b"\n"].concat();
    assert_eq!(rows(&write(&twice).expect("it is written")), PARTS.repeat(2));
}

#[test]
fn rows_come_in_groups_and_groups_are_streams() {
    let many: String = (0..1_100_000).map(|number| format!("{{\"number\":{number}}}\n")).collect();
    let file = write(many.as_bytes()).expect("it is written");
    let groups = groups(&file);
    assert_eq!(groups.len(), 2);
    let counts: Vec<usize> =
        groups.iter().map(|group| batches(group).iter().map(RecordBatch::num_rows).sum()).collect();
    assert_eq!(counts, [1 << 20, 1_100_000 - (1 << 20)]);
    assert!(rows(&file) == many);
}

#[test]
fn no_results_are_a_table_without_columns() {
    let file = write(b"").expect("it is written");
    assert_eq!((rows(&file), groups(&file)), (String::new(), Vec::new()));
    assert_eq!(write(b" \n"), Ok(file));
}

#[test]
fn the_first_result_says_which_columns_there_are() {
    let refused = |results: &[&str], what: &str| {
        let results: Vec<&[u8]> = results.iter().map(|result| result.as_bytes()).collect();
        let said = misfit(&results);
        assert!(said.starts_with(what), "{said}");
    };
    refused(&["nothing"], "it is neither a JSON object nor an Arrow IPC stream");
    refused(&["{\"a\":1}", "[1]"], "it is neither a JSON object nor an Arrow IPC stream");
    refused(&["{\"a\":1}", "{\"a\":1}\n[1]"], "it is no JSON object of values");
    refused(
        &["{\"a\":1}", "{\"a\":1.5}"],
        "the column `a` is a whole number in the results before it, and a number with a fraction here",
    );
    refused(&["{\"a\":1}", "{\"a\":1,\"b\":2}"], "the column `b` is not in the first result, which has: a");
    refused(&["{\"a\":1,\"b\":2}", "{\"a\":1}"], "the column `b` is missing, which is in the first result");
    refused(
        &["{\"a\":{\"b\":1}}", "{\"a\":{\"c\":1}}"],
        "the column `c` of `a` is not in the first result, which has: b",
    );
    refused(
        &["{\"a\":[1]}", "{\"a\":[\"x\"]}"],
        "the column `a` is a whole number in the results before it, and a text here",
    );
    refused(&["{\"a\":1,\"a\":2}"], "it is no JSON object of values: the name `a` is there twice");
    refused(&["{\"a\":18446744073709551615}"], "it is no JSON object of values: 18446744073709551615 is larger");
    refused(&["{}"], "it is an object without names");
    refused(&["{\"a\":1"], "it is no JSON object of values: EOF");
    // What is null says nothing of its column; where there may be a fraction, whole numbers fit, too.
    let fits = "{\"a\":null,\"b\":1.5}\n{\"a\":\"x\",\"b\":2}\n";
    assert_eq!(
        rows(&write(fits.as_bytes()).expect("it is written")),
        "{\"a\":null,\"b\":1.5}\n{\"a\":\"x\",\"b\":2.0}\n"
    );
    // Streams are held against the first as well.
    let stream = |rows: &str| groups(&write(rows.as_bytes()).expect("it is written")).remove(0);
    let (whole, text) = (stream("{\"a\":1}"), stream("{\"a\":\"x\"}"));
    let wanted = "its columns are a (Utf8); those of the first result are a (Int64)";
    assert_eq!(misfit(&[&whole, &text]), wanted);
    assert_eq!(write(&[&whole[..], &text].concat()), Err(format!("cannot take result 1: {wanted}")));
    assert!(!misfit(&[&whole[..whole.len() / 2]]).is_empty());
    assert_eq!(misfit(&[&whole, b"{\"a\":1}"]), "it is a JSON object, and the first result is an Arrow IPC stream");
    assert_eq!(misfit(&[b"{\"a\":1}", &whole]), "it is an Arrow IPC stream, and the first result is a JSON object");
    assert_eq!(misfit(&[&[&whole[..], b"{}"].concat()]), "what follows an Arrow IPC stream in it is none");
}

#[test]
fn what_does_not_fit_leaves_no_trace() {
    // The first that can be taken says which columns there are, and of a refused one nothing is left: neither its first rows nor
    // what it said of types.
    let first: &[&[u8]] = &[
        b"nothing",
        b"{\"b\":1}[",
        b"{\"a\":null,\"b\":1}",
        b"{\"a\":\"x\",\"b\":2}\n{\"a\":\"y\",\"b\":0.5}",
        b"{\"a\":true,\"b\":3}",
        b" \n",
    ];
    let items: Vec<&[&[u8]]> = first.iter().map(std::slice::from_ref).collect();
    let second: &[&[&[u8]]] =
        &[&[], &[b"{\"a\":false,\"b\":4}", b"{\"a\":null,\"b\":5}"], &[b"{\"a\":true,\"b\":6}", b"7"]];
    let (told, file) = taken(&[batch(&items), batch(second)].concat()).expect("it is written");
    let told: Vec<&str> = told.iter().map(|said| said.split_once(' ').map_or(&said[..], |(first, _)| first)).collect();
    // What the others have in the first batch, and in the second.
    let lens = (first[2].len() + first[4].len() + first[5].len(), second[1][0].len() + second[1][1].len());
    assert_eq!(told, ["0:", "1:", "3:", &lens.0.to_string(), "2:", &lens.1.to_string()]);
    assert_eq!(
        rows(&file),
        "{\"a\":null,\"b\":1}\n{\"a\":true,\"b\":3}\n{\"a\":false,\"b\":4}\n{\"a\":null,\"b\":5}\n"
    );
    assert_eq!(taken(b""), Ok((Vec::new(), write(b"").expect("it is written"))), "nothing makes an empty table");
    let nothing = taken(&batch(&[&[b"1"], &[b"2"]])).expect("it is written");
    assert_eq!(nothing.1, write(b"").expect("it is written"));
}

#[test]
fn how_results_are_batched_changes_nothing() {
    let lines: Vec<String> = (0..70_000).map(|number| format!("{{\"number\":{number},\"text\":null}}")).collect();
    let all: Vec<[&[u8]; 1]> = lines.iter().map(|line| [line.as_bytes()]).collect();
    let all: Vec<&[&[u8]]> = all.iter().map(|item| &item[..]).collect();
    let of = |items: usize| taken(&all.chunks(items).map(batch).collect::<Vec<_>>().concat()).expect("it is written").1;
    let file = of(1000);
    assert!(of(7) == file && of(70_000) == file);
}

#[test]
fn a_result_of_many_bytes_is_taken_whole_or_not_at_all() {
    let mut many: String = (0..1_100_000).map(|number| format!("{{\"number\":{number}}}\n")).collect();
    let whole = many.clone();
    many.push_str("{\"number\":\"none\"}");
    let (told, file) = taken(&batch(&[&[many.as_bytes()], &[b"{\"other\":1}"]])).expect("it is written");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("0: the column `number` is a whole number"), "{told:?}");
    assert_eq!(rows(&file), "{\"other\":1}\n");
    assert!(rows(&taken(&batch(&[&[whole.as_bytes()]])).expect("it is written").1) == whole);
}

#[test]
fn batches_that_do_not_add_up_are_no_results() {
    let good = batch(&[&[b"{\"a\":1}"], &[b"{\"a\":2}"]]);
    let wrong = taken(&[&70_u64.to_le_bytes()[..], &good[8..]].concat());
    assert_eq!(wrong.expect_err("too few"), "cannot be written: a worker has written results that do not add up");
    for len in (1..good.len()).filter(|len| *len != 8 + MARK_BYTES) {
        assert!(taken(&good[..len]).expect_err("it is torn").starts_with("cannot be read: "), "{len}");
    }
}

#[test]
fn damaged_files_are_told_from_whole_ones() {
    let file = write(PARTS.as_bytes()).expect("it is written");
    for form in [TableForm::Rows, TableForm::Groups] {
        for len in 0..file.len() {
            let error = read(form, &file[..len]).expect_err("its end is missing");
            assert!(error.starts_with("cannot be read as Parquet: "), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the bytes, it ends, and without a panic that would reach anybody.
    #[test]
    fn changed_bytes_are_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut file = write(PARTS.as_bytes()).expect("it is written");
        for (at, byte) in &changes {
            let at = at.index(file.len());
            file[at] = *byte;
        }
        for form in [TableForm::Rows, TableForm::Groups] {
            let _ = read(form, &file);
        }
        let mut stream = groups(&write(PARTS.as_bytes()).expect("it is written")).remove(0);
        for (at, byte) in &changes {
            let at = at.index(stream.len());
            stream[at] = *byte;
        }
        let _ = write(&stream);
        let mut marked = batch(&[&[&stream, b"{}"], &[&stream]]);
        for (at, byte) in &changes {
            let at = at.index(marked.len());
            marked[at] = *byte;
        }
        let _ = taken(&marked);
    }
}
