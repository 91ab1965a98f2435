//! Results as a Parquet file: of JSON objects or of Arrow IPC streams, with the columns of the first.

use std::io::{BufRead, Write};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::cells::Row;
use super::columns::Columns;

/// Rows of a group of rows, as other programs have it.
const GROUP_ROWS: usize = 1 << 20;

/// Bytes of a group of rows at most, about: it is held in memory until it is written.
const GROUP_BYTES: usize = 64 << 20;

/// Rows of JSON that are gathered before they become columns …
const ROWS: usize = 64 << 10;

/// … and bytes of them.
const ROWS_BYTES: usize = 16 << 20;

/// How an Arrow IPC stream begins, and every message of it.
const MESSAGE: u8 = 0xff;

/// A result that does not fit.
pub(super) struct Unfit {
    /// Which, from 1.
    pub(super) number: u64,
    /// Why not.
    pub(super) what: String,
}

/// Writes all results.
pub(super) fn write(from: &mut impl BufRead, to: impl Write + Send) -> Result<(), Unfit> {
    match next(from) {
        None => Table::new(to, Schema::empty().into()).and_then(Table::end).map_err(|what| Unfit { number: 1, what }),
        Some(MESSAGE) => streams(from, to),
        Some(b'{') => rows(from, to),
        Some(_) => {
            let what = "it is neither a JSON object nor an Arrow IPC stream".to_owned();
            Err(Unfit { number: 1, what })
        }
    }
}

/// The first byte that is no white space, which is left where it is. An error of the reader is kept by the reader.
fn next(from: &mut impl BufRead) -> Option<u8> {
    loop {
        let bytes = from.fill_buf().ok()?;
        let (blank, first) = match bytes.iter().position(|byte| !byte.is_ascii_whitespace()) {
            Some(at) => (at, Some(bytes[at])),
            None if bytes.is_empty() => return None,
            None => (bytes.len(), None),
        };
        from.consume(blank);
        if first.is_some() {
            return first;
        }
    }
}

/// Results that are streams of columns.
fn streams(from: &mut impl BufRead, to: impl Write + Send) -> Result<(), Unfit> {
    let mut to = Some(to);
    let mut table = None;
    let mut number = 0;
    while next(from).is_some() {
        number += 1;
        let unfit = |what: String| Unfit { number, what };
        let stream = StreamReader::try_new(&mut *from, None).map_err(|error| unfit(error.to_string()))?;
        let schema = stream.schema();
        let table = match (&mut table, to.take()) {
            (none, Some(to)) => none.insert(Table::new(to, schema).map_err(unfit)?),
            (Some(table), None) => {
                table.check(&schema).map_err(unfit)?;
                table
            }
            (None, None) => return Ok(()),
        };
        for batch in stream {
            table.append(&batch.map_err(|error| unfit(error.to_string()))?).map_err(unfit)?;
        }
    }
    table.map_or(Ok(()), Table::end).map_err(|what| Unfit { number, what })
}

/// Results that are rows.
fn rows(from: &mut impl BufRead, to: impl Write + Send) -> Result<(), Unfit> {
    let mut to = Some(to);
    let mut table: Option<Table<_>> = None;
    let mut columns = Columns::default();
    let mut number = 0;
    let mut begun = 0;
    let mut objects = serde_json::Deserializer::from_reader(from).into_iter::<Row>();
    loop {
        let next = objects.next();
        let unfit = |what: String| Unfit { number: number + 1, what };
        let is_over = next.is_none();
        if let Some(row) = next {
            let row = row.map_err(|error| unfit(format!("it is no JSON object of values: {error}")))?;
            columns.push(row).map_err(unfit)?;
            number += 1;
        }
        let bytes = objects.byte_offset() - begun;
        if !is_over && columns.rows() < ROWS && bytes < ROWS_BYTES {
            continue;
        }
        begun = objects.byte_offset();
        let unfit = |what: String| Unfit { number, what };
        let batch = columns.take().map_err(unfit)?;
        let table = match (&mut table, to.take()) {
            (Some(table), _) => table,
            (none, Some(to)) => none.insert(Table::new(to, batch.schema()).map_err(unfit)?),
            (None, None) => return Ok(()),
        };
        table.append(&batch).map_err(unfit)?;
        if is_over {
            break;
        }
    }
    table.map_or(Ok(()), Table::end).map_err(|what| Unfit { number, what })
}

/// The file that is being made.
struct Table<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
}

impl<W: Write + Send> Table<W> {
    fn new(to: W, schema: SchemaRef) -> Result<Self, String> {
        let properties = WriterProperties::builder()
            .set_created_by(concat!("taskhost ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .build();
        let writer = ArrowWriter::try_new(to, SchemaRef::clone(&schema), Some(properties));
        Ok(Self { writer: writer.map_err(|error| error.to_string())?, schema })
    }

    /// Whether a result has the columns of the first.
    fn check(&self, schema: &Schema) -> Result<(), String> {
        let is_same = |(one, other): (&arrow_schema::FieldRef, &arrow_schema::FieldRef)| {
            one.name() == other.name()
                && one.data_type().equals_datatype(other.data_type())
                && (one.is_nullable() || !other.is_nullable())
        };
        let (first, own) = (self.schema.fields(), schema.fields());
        if first.len() == own.len() && first.iter().zip(own).all(is_same) {
            return Ok(());
        }
        Err(format!("its columns are {}; those of the first result are {}", shown(schema), shown(&self.schema)))
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<(), String> {
        self.writer.write(batch).map_err(|error| error.to_string())
    }

    fn end(self) -> Result<(), String> {
        self.writer.close().map(drop).map_err(|error| error.to_string())
    }
}

/// Columns as messages show them.
fn shown(schema: &Schema) -> String {
    let columns = schema.fields().iter().map(|field| {
        let missing = if field.is_nullable() { "" } else { ", never null" };
        format!("{} ({}{missing})", field.name(), field.data_type())
    });
    columns.collect::<Vec<_>>().join(", ")
}
