//! What a Parquet file holds, group of rows by group of rows.

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use arrow_ipc::writer::StreamWriter;
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};

use taskhost_protocol::stream::TableForm;

use super::ReadAt;
use super::parts::Parts;

/// Bytes of rows that are decoded at a time, by what the file says of their size.
const BATCH_BYTES: u64 = 16 << 20;

/// Rows that are decoded at a time, however small they are.
const BATCH_ROWS: u64 = 64 << 10;

/// Bytes that are gathered before they are written: what a pipe holds.
const BUFFER: usize = 64 << 10;

/// Why the file cannot be read.
pub(super) struct Unreadable(pub(super) String);

impl From<ParquetError> for Unreadable {
    fn from(error: ParquetError) -> Self {
        Self(match error {
            ParquetError::General(text) | ParquetError::EOF(text) => text,
            error => error.to_string(),
        })
    }
}

impl From<ArrowError> for Unreadable {
    fn from(error: ArrowError) -> Self {
        Self(match error {
            ArrowError::ParquetError(text) => text,
            error => error.to_string(),
        })
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The file, for the library, which reads several places of it at once.
struct Shared<F> {
    file: Arc<F>,
    len: u64,
}

impl<F> Clone for Shared<F> {
    fn clone(&self) -> Self {
        Self { file: Arc::clone(&self.file), len: self.len }
    }
}

impl<F: ReadAt> Length for Shared<F> {
    fn len(&self) -> u64 {
        self.len
    }
}

impl<F: ReadAt> ChunkReader for Shared<F> {
    type T = BufReader<Onward<F>>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(Onward { shared: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.len);
        if end.is_none() {
            let len = self.len;
            return Err(ParquetError::EOF(format!(
                "{length} bytes are said to be at byte {start}, and the file has {len}"
            )));
        }
        let mut bytes = vec![0; length];
        self.file.read_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// The file from some place on.
struct Onward<F> {
    shared: Shared<F>,
    at: u64,
}

impl<F: ReadAt> Read for Onward<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.shared.len.saturating_sub(self.at);
        let taken = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.shared.file.read_at(&mut buffer[..taken], self.at)?;
        self.at += taken as u64;
        Ok(taken)
    }
}

/// Makes something of all groups of rows.
pub(super) fn read(form: TableForm, file: impl ReadAt, len: u64, to: &mut impl Write) -> Result<(), Unreadable> {
    let file = Shared { file: Arc::new(file), len };
    let mut metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    if form == TableForm::Rows {
        let schema = Schema::new(metadata.schema().fields().iter().map(in_utc).collect::<Fields>());
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)?;
    }
    let groups = metadata.metadata().num_row_groups();
    for index in 0..groups {
        let in_group = |error: Unreadable| Unreadable(format!("row group {index}: {}", error.0));
        group(form, &file, &metadata, index, to).map_err(in_group)?;
    }
    Ok(())
}

fn group<F: ReadAt>(
    form: TableForm,
    file: &Shared<F>,
    metadata: &ArrowReaderMetadata,
    index: usize,
    to: &mut impl Write,
) -> Result<(), Unreadable> {
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone());
    let rows = batch_rows(metadata.metadata().row_group(index));
    let batches = builder.with_row_groups(vec![index]).with_batch_size(rows).build()?;
    match form {
        TableForm::Groups => stream(batches, metadata, to),
        TableForm::Rows => lines(batches, to),
    }
}

fn stream(
    batches: ParquetRecordBatchReader,
    metadata: &ArrowReaderMetadata,
    to: &mut impl Write,
) -> Result<(), Unreadable> {
    // With what the file says of the table as a whole, which its rows do not.
    let mut stream = StreamWriter::try_new(Parts::new(to), metadata.schema())?;
    for batch in batches {
        stream.write(&batch?)?;
    }
    Ok(stream.into_inner()?.end()?)
}

fn lines(batches: ParquetRecordBatchReader, to: &mut impl Write) -> Result<(), Unreadable> {
    let to = io::BufWriter::with_capacity(BUFFER, to);
    // A value that is missing is a value all the same: each row has all columns.
    let mut lines = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(to);
    for batch in batches {
        lines.write(&batch?)?;
    }
    lines.finish()?;
    Ok(lines.into_inner().flush()?)
}

/// Rows of a group that are decoded at a time.
fn batch_rows(group: &RowGroupMetaData) -> usize {
    let bytes = u64::try_from(group.total_byte_size()).unwrap_or(0);
    let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
    let at_a_time = BATCH_BYTES / (bytes / rows).max(1);
    usize::try_from(at_a_time.clamp(1, BATCH_ROWS)).unwrap_or(1)
}

/// The column with all times of zones in that of Greenwich: the rules of others are not known here, and what is meant is the
/// same.
fn in_utc(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::List(of) => DataType::List(in_utc(of)),
        DataType::LargeList(of) => DataType::LargeList(in_utc(of)),
        DataType::FixedSizeList(of, len) => DataType::FixedSizeList(in_utc(of), *len),
        DataType::Map(of, is_sorted) => DataType::Map(in_utc(of), *is_sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(in_utc).collect()),
        _ => return FieldRef::clone(field),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}
