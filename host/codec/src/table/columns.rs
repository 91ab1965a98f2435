//! Rows as columns, of the types that the first row has.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema};

use super::cells::{Cell, Row};

/// The type of a column. Every value of it may be null.
#[derive(Clone, Debug, PartialEq)]
enum Type {
    /// Nothing but null was seen.
    Unknown,
    Truth,
    Whole,
    Number,
    Text,
    List(Box<Type>),
    Object(Vec<(String, Type)>),
}

impl Type {
    /// What it is, for messages.
    fn kind(&self) -> &'static str {
        match self {
            Self::Unknown => "null",
            Self::Truth => "true or false",
            Self::Whole => "a whole number",
            Self::Number => "a number with a fraction",
            Self::Text => "a text",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Takes a value of the column `name` in, when it is of this type; of one that is not known yet, it says the type, as long
    /// as that may be said.
    fn take(&mut self, cell: &Cell, name: &str, is_open: bool) -> Result<(), String> {
        if *self == Self::Unknown && is_open {
            *self = match cell {
                Cell::Null => Self::Unknown,
                Cell::Truth(_) => Self::Truth,
                Cell::Whole(_) => Self::Whole,
                Cell::Number(_) => Self::Number,
                Cell::Text(_) => Self::Text,
                Cell::List(_) => Self::List(Box::new(Self::Unknown)),
                Cell::Object(members) if members.is_empty() => {
                    return Err(format!("the column `{name}` is an object without names, which has no columns"));
                }
                Cell::Object(members) => {
                    Self::Object(members.iter().map(|(name, _)| (name.clone(), Self::Unknown)).collect())
                }
            };
        }
        match (self, cell) {
            (_, Cell::Null)
            | (Self::Truth, Cell::Truth(_))
            | (Self::Whole, Cell::Whole(_))
            | (Self::Number, Cell::Number(_) | Cell::Whole(_))
            | (Self::Text, Cell::Text(_)) => Ok(()),
            (Self::List(inner), Cell::List(cells)) => cells.iter().try_for_each(|cell| inner.take(cell, name, is_open)),
            (Self::Object(columns), Cell::Object(members)) => same_names(columns, members, name).and_then(|()| {
                columns.iter_mut().enumerate().try_for_each(|(index, (name, of))| {
                    member(members, index, name).map_or(Ok(()), |cell| of.take(cell, name, is_open))
                })
            }),
            (of, cell) => {
                Err(format!("the column `{name}` is {} in the results before it, and {} here", of.kind(), cell.kind()))
            }
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Unknown => DataType::Null,
            Self::Truth => DataType::Boolean,
            Self::Whole => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::List(inner) => DataType::List(Arc::new(element(inner))),
            Self::Object(columns) => DataType::Struct(fields(columns)),
        }
    }

    /// The values of a column, each of which was taken in.
    fn array(&self, cells: &[Option<&Cell>]) -> Result<ArrayRef, arrow_schema::ArrowError> {
        Ok(match self {
            Self::Unknown => Arc::new(NullArray::new(cells.len())),
            Self::Truth => Arc::new(BooleanArray::from_iter(cells.iter().map(|cell| match cell {
                Some(Cell::Truth(truth)) => Some(*truth),
                _ => None,
            }))),
            Self::Whole => Arc::new(Int64Array::from_iter(cells.iter().map(|cell| match cell {
                Some(Cell::Whole(number)) => Some(*number),
                _ => None,
            }))),
            Self::Number => Arc::new(Float64Array::from_iter(cells.iter().map(|cell| match cell {
                Some(Cell::Number(number)) => Some(*number),
                Some(Cell::Whole(number)) => Some(*number as f64),
                _ => None,
            }))),
            Self::Text => Arc::new(StringArray::from_iter(cells.iter().map(|cell| match cell {
                Some(Cell::Text(text)) => Some(text.as_str()),
                _ => None,
            }))),
            Self::List(inner) => {
                let lists = || {
                    cells.iter().map(|cell| match cell {
                        Some(Cell::List(cells)) => Some(cells.as_slice()),
                        _ => None,
                    })
                };
                let offsets = OffsetBuffer::from_lengths(lists().map(|list| list.map_or(0, <[Cell]>::len)));
                let values: Vec<Option<&Cell>> = lists().flatten().flatten().map(Some).collect();
                let nulls = lists().map(|list| list.is_some()).collect::<NullBuffer>();
                let values = inner.array(&values)?;
                Arc::new(ListArray::try_new(Arc::new(element(inner)), offsets, values, Some(nulls))?)
            }
            Self::Object(columns) => {
                let objects = || {
                    cells.iter().map(|cell| match cell {
                        Some(Cell::Object(members)) => Some(members.as_slice()),
                        _ => None,
                    })
                };
                let of_column = |(index, (name, of)): (usize, &(String, Self))| {
                    let values: Vec<Option<&Cell>> =
                        objects().map(|members| members.and_then(|members| member(members, index, name))).collect();
                    of.array(&values)
                };
                let arrays = columns.iter().enumerate().map(of_column).collect::<Result<Vec<_>, _>>()?;
                let nulls = objects().map(|members| members.is_some()).collect::<NullBuffer>();
                Arc::new(StructArray::try_new(fields(columns), arrays, Some(nulls))?)
            }
        })
    }
}

fn element(of: &Type) -> Field {
    Field::new("element", of.data_type(), true)
}

fn fields(columns: &[(String, Type)]) -> Fields {
    columns.iter().map(|(name, of)| Field::new(name, of.data_type(), true)).collect()
}

/// The member of that name, which is looked for first where it stood in the first object.
fn member<'c>(members: &'c [(String, Cell)], index: usize, name: &str) -> Option<&'c Cell> {
    let is_it = |(own, _): &&(String, Cell)| own == name;
    members.get(index).filter(is_it).or_else(|| members.iter().find(is_it)).map(|(_, cell)| cell)
}

/// Whether an object has the names of those before it, in whatever order.
fn same_names(columns: &[(String, Type)], members: &[(String, Cell)], name: &str) -> Result<(), String> {
    if columns.len() == members.len() && columns.iter().zip(members).all(|((known, _), (name, _))| known == name) {
        return Ok(());
    }
    let within = if name.is_empty() { String::new() } else { format!(" of `{name}`") };
    let known = || columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some((other, _)) = members.iter().find(|(name, _)| !columns.iter().any(|(known, _)| known == name)) {
        return Err(format!("the column `{other}`{within} is not in the first result, which has: {}", known()));
    }
    match columns.iter().find(|(known, _)| member(members, 0, known).is_none()) {
        Some((missing, _)) => Err(format!("the column `{missing}`{within} is missing, which is in the first result")),
        None => Ok(()),
    }
}

/// A place to come back to.
#[derive(Debug)]
pub(super) struct Mark {
    /// The columns, while more can be learned of them.
    columns: Option<Vec<(String, Type)>>,
    rows: usize,
}

/// Rows that become columns.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// The columns, when a row has said which there are.
    columns: Vec<(String, Type)>,
    /// Whether some were taken: what is not known of the types by then never will be.
    is_fixed: bool,
    rows: Vec<Row>,
}

impl Columns {
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// What is known so far.
    pub(super) fn mark(&self) -> Mark {
        Mark { columns: (!self.is_fixed).then(|| self.columns.clone()), rows: self.rows.len() }
    }

    /// Forgets what came behind the mark, between which and now nothing was taken.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.rows.truncate(mark.rows);
        if let Some(columns) = mark.columns {
            self.columns = columns;
        }
    }

    /// Adds a row, when it is one like the first.
    pub(super) fn push(&mut self, row: Row) -> Result<(), String> {
        self.look(&row)?;
        self.rows.push(row);
        Ok(())
    }

    /// Whether this is a row like the first. What it says of the columns counts even when it is not: see [`Columns::back_to`].
    pub(super) fn look(&mut self, row: &Row) -> Result<(), String> {
        if self.columns.is_empty() {
            if row.0.is_empty() {
                return Err("it is an object without names, which has no columns".into());
            }
            self.columns = row.0.iter().map(|(name, _)| (name.clone(), Type::Unknown)).collect();
        }
        same_names(&self.columns, &row.0, "")?;
        let is_open = !self.is_fixed;
        for (index, (name, of)) in self.columns.iter_mut().enumerate() {
            if let Some(cell) = member(&row.0, index, name) {
                of.take(cell, name, is_open)?;
            }
        }
        Ok(())
    }

    /// The rows that were added since the last time, as columns.
    pub(super) fn take(&mut self) -> Result<RecordBatch, String> {
        self.is_fixed = true;
        let rows = std::mem::take(&mut self.rows);
        let of_column = |(index, (name, of)): (usize, &(String, Type))| {
            let cells: Vec<Option<&Cell>> = rows.iter().map(|row| member(&row.0, index, name)).collect();
            of.array(&cells)
        };
        let arrays = self.columns.iter().enumerate().map(of_column).collect::<Result<Vec<_>, _>>();
        let schema = Arc::new(Schema::new(fields(&self.columns)));
        arrays.and_then(|arrays| RecordBatch::try_new(schema, arrays)).map_err(|error| error.to_string())
    }
}
