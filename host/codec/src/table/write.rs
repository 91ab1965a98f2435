//! A Parquet file that is made of results: JSON objects or Arrow IPC streams, with the columns of the first. A result is taken whole
//! or not at all.

use std::io::{self, Write};

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

/// … and bytes of them. A result of more is looked through before anything of it is gathered.
const ROWS_BYTES: usize = 16 << 20;

/// How an Arrow IPC stream begins, and every message of it.
const MESSAGE: u8 = 0xff;

/// Why a result was not taken.
#[derive(Debug, PartialEq)]
pub(super) enum Refused {
    /// It does not fit; others may.
    Misfit(String),
    /// No more can be written.
    Broken(String),
}

impl Refused {
    fn into_text(self) -> String {
        let (Self::Misfit(what) | Self::Broken(what)) = self;
        what
    }
}

/// What results are.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// None was taken yet.
    Unknown,
    /// Objects. They become columns many at a time.
    Rows,
    /// Columns.
    Streams,
}

/// The file that is being made.
pub(super) struct Table<W: Write + Send> {
    form: Form,
    /// What is to be written to, until there are columns.
    to: Option<W>,
    file: Option<File<W>>,
    columns: Columns,
    /// Bytes of the rows that are gathered.
    gathered: usize,
}

impl<W: Write + Send> Table<W> {
    pub(super) fn new(to: W) -> Self {
        Self { form: Form::Unknown, to: Some(to), file: None, columns: Columns::default(), gathered: 0 }
    }

    /// Takes what one item gave: any number of objects, or of streams, with white space between them.
    pub(super) fn take(&mut self, result: &[u8]) -> Result<(), Refused> {
        let misfit = |what: &str| Err(Refused::Misfit(what.into()));
        match (result.trim_ascii_start().first(), self.form) {
            (None, _) => Ok(()),
            (Some(&MESSAGE), Form::Unknown | Form::Streams) => self.take_streams(result),
            (Some(b'{'), Form::Unknown | Form::Rows) => self.take_rows(result),
            (Some(&MESSAGE), Form::Rows) => misfit("it is an Arrow IPC stream, and the first result is a JSON object"),
            (Some(b'{'), Form::Streams) => misfit("it is a JSON object, and the first result is an Arrow IPC stream"),
            (Some(_), _) => misfit("it is neither a JSON object nor an Arrow IPC stream"),
        }
    }

    fn take_streams(&mut self, result: &[u8]) -> Result<(), Refused> {
        let misfit = |error: arrow_schema::ArrowError| Refused::Misfit(error.to_string());
        let mut known = self.file.as_ref().map(|file| SchemaRef::clone(&file.schema));
        let mut batches = Vec::new();
        let mut left = result.trim_ascii_start();
        while let Some(first) = left.first() {
            if *first != MESSAGE {
                return Err(Refused::Misfit("what follows an Arrow IPC stream in it is none".into()));
            }
            let stream = StreamReader::try_new(&mut left, None).map_err(misfit)?;
            let schema = stream.schema();
            check(known.get_or_insert_with(|| SchemaRef::clone(&schema)), &schema).map_err(Refused::Misfit)?;
            for batch in stream {
                batches.push(batch.map_err(misfit)?);
            }
            left = left.trim_ascii_start();
        }
        let Some(schema) = known else { return Ok(()) };
        if self.file.is_none() {
            try_out(&schema, batches.first()).map_err(Refused::Misfit)?;
        }
        self.form = Form::Streams;
        let file = self.begun(schema)?;
        batches.iter().try_for_each(|batch| file.append(batch))
    }

    fn take_rows(&mut self, result: &[u8]) -> Result<(), Refused> {
        let is_large = result.len() > ROWS_BYTES;
        let before = self.columns.mark();
        let mut rows = objects(result);
        let fits = rows.try_for_each(|row| {
            let row = row.map_err(|error| format!("it is no JSON object of values: {error}"))?;
            if is_large { self.columns.look(&row) } else { self.columns.push(row) }
        });
        if let Err(what) = fits {
            self.columns.back_to(before);
            return Err(Refused::Misfit(what));
        }
        self.form = Form::Rows;
        if !is_large {
            self.gathered += result.len();
            return self.flush_full();
        }
        // All of it fits, so that it can be taken in pieces.
        let mut rows = objects(result);
        let mut taken = 0;
        while let Some(row) = rows.next() {
            let taken_in = row.map_err(|error| error.to_string()).and_then(|row| self.columns.push(row));
            taken_in.map_err(Refused::Broken)?;
            self.gathered += rows.byte_offset() - taken;
            taken = rows.byte_offset();
            self.flush_full()?;
        }
        Ok(())
    }

    /// Makes columns of the rows, when there are many.
    fn flush_full(&mut self) -> Result<(), Refused> {
        if self.columns.rows() < ROWS && self.gathered < ROWS_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Refused> {
        self.gathered = 0;
        let batch = self.columns.take().map_err(Refused::Broken)?;
        self.begun(batch.schema())?.append(&batch)
    }

    /// The file, which has these columns if it was not begun.
    fn begun(&mut self, schema: SchemaRef) -> Result<&mut File<W>, Refused> {
        let file = match (self.file.take(), self.to.take()) {
            (Some(file), _) => file,
            (None, Some(to)) => File::new(to, schema).map_err(Refused::Broken)?,
            (None, None) => return Err(Refused::Broken("it could not be begun".into())),
        };
        Ok(self.file.insert(file))
    }

    /// Completes the file. Without any result, it has neither rows nor columns.
    pub(super) fn end(mut self) -> Result<(), String> {
        let flushed = match self.form {
            Form::Unknown => self.begun(Schema::empty().into()).map(drop),
            Form::Rows if self.columns.rows() > 0 => self.flush(),
            Form::Rows | Form::Streams => Ok(()),
        };
        flushed.map_err(Refused::into_text)?;
        self.file.map_or(Ok(()), File::end)
    }
}

/// The objects in a result.
fn objects(result: &[u8]) -> serde_json::StreamDeserializer<'_, serde_json::de::SliceRead<'_>, Row> {
    serde_json::Deserializer::from_slice(result).into_iter()
}

/// A file whose columns are known.
struct File<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
}

impl<W: Write + Send> File<W> {
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

    fn append(&mut self, batch: &RecordBatch) -> Result<(), Refused> {
        self.writer.write(batch).map_err(|error| Refused::Broken(error.to_string()))
    }

    fn end(self) -> Result<(), String> {
        self.writer.close().map(drop).map_err(|error| error.to_string())
    }
}

/// Whether there can be a file of these columns: some types of Arrow are none of Parquet.
fn try_out(schema: &SchemaRef, batch: Option<&RecordBatch>) -> Result<(), String> {
    let mut file = File::new(io::sink(), SchemaRef::clone(schema))?;
    if let Some(batch) = batch {
        let row = batch.slice(0, batch.num_rows().min(1));
        file.append(&row).map_err(Refused::into_text)?;
    }
    file.end()
}

/// Whether a result has the columns of the first.
fn check(first: &Schema, schema: &Schema) -> Result<(), String> {
    let is_same = |(one, other): (&arrow_schema::FieldRef, &arrow_schema::FieldRef)| {
        one.name() == other.name()
            && one.data_type().equals_datatype(other.data_type())
            && (one.is_nullable() || !other.is_nullable())
    };
    let (known, own) = (first.fields(), schema.fields());
    if known.len() == own.len() && known.iter().zip(own).all(is_same) {
        return Ok(());
    }
    Err(format!("its columns are {}; those of the first result are {}", shown(schema), shown(first)))
}

/// Columns as messages show them.
fn shown(schema: &Schema) -> String {
    let columns = schema.fields().iter().map(|field| {
        let missing = if field.is_nullable() { "" } else { ", never null" };
        format!("{} ({}{missing})", field.name(), field.data_type())
    });
    columns.collect::<Vec<_>>().join(", ")
}
