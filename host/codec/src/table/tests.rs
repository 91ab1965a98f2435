//! Tables of rows there and back, and what is made of files and results that are damaged.

use super::*;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use proptest::prelude::*;
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
    let refused = |results: &str, number: u64, what: &str| {
        let error = write(results.as_bytes()).expect_err("it does not fit");
        assert!(error.starts_with(&format!("cannot take result {number}: {what}")), "{error}");
    };
    refused("nothing", 1, "it is neither a JSON object nor an Arrow IPC stream");
    refused("{\"a\":1}\n[1]", 2, "it is no JSON object of values");
    refused(
        "{\"a\":1}\n{\"a\":1.5}",
        2,
        "the column `a` is a whole number in the results before it, and a number with a fraction here",
    );
    refused("{\"a\":1}\n{\"a\":1,\"b\":2}", 2, "the column `b` is not in the first result, which has: a");
    refused("{\"a\":1,\"b\":2}\n{\"a\":1}", 2, "the column `b` is missing, which is in the first result");
    refused(
        "{\"a\":{\"b\":1}}\n{\"a\":{\"c\":1}}",
        2,
        "the column `c` of `a` is not in the first result, which has: b",
    );
    refused(
        "{\"a\":[1]}\n{\"a\":[\"x\"]}",
        2,
        "the column `a` is a whole number in the results before it, and a text here",
    );
    refused("{\"a\":1,\"a\":2}", 1, "it is no JSON object of values: the name `a` is there twice");
    refused("{\"a\":18446744073709551615}", 1, "it is no JSON object of values: 18446744073709551615 is larger");
    refused("{}", 1, "it is an object without names");
    refused("{\"a\":1", 1, "it is no JSON object of values: EOF");
    // What is null says nothing of its column; where there may be a fraction, whole numbers fit, too.
    let fits = "{\"a\":null,\"b\":1.5}\n{\"a\":\"x\",\"b\":2}\n";
    assert_eq!(
        rows(&write(fits.as_bytes()).expect("it is written")),
        "{\"a\":null,\"b\":1.5}\n{\"a\":\"x\",\"b\":2.0}\n"
    );
    // Streams are held against the first as well.
    let stream = |rows: &str| groups(&write(rows.as_bytes()).expect("it is written")).remove(0);
    let error = write(&[stream("{\"a\":1}"), stream("{\"a\":\"x\"}")].concat()).expect_err("it does not fit");
    let wanted = "cannot take result 2: its columns are a (Utf8); those of the first result are a (Int64)";
    assert_eq!(error, wanted);
    let torn = stream("{\"a\":1}");
    let error = write(&torn[..torn.len() / 2]).expect_err("it is torn");
    assert!(error.starts_with("cannot take result 1: "), "{error}");
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
    }
}
