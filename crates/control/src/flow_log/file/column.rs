//! Records as columns. Names and types are AWS's: a column is called as its field, with `_` for
//! `-`, and what AWS says is `INT_32` or `INT_64` is one; all else is text (FL-15).

use std::{io, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical},
    data_type::{ByteArrayType, DataType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::Type,
};

/// Fields that are whole numbers.
const INT_32: [&str; 7] =
    ["version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path", "encryption-status"];
const INT_64: [&str; 4] = ["packets", "bytes", "start", "end"];

/// What a record has for a value that there is none of.
const NONE: &str = "-";

/// The type of a field's column, as Hive calls it.
pub(crate) fn kind(field: &str) -> &'static str {
    if INT_32.contains(&field) {
        "int"
    } else if INT_64.contains(&field) {
        "bigint"
    } else {
        "string"
    }
}

/// A file with one row a line.
pub(super) fn file(names: &[&str], lines: String) -> io::Result<Vec<u8>> {
    written(names, lines).map_err(io::Error::other)
}

fn written(names: &[&str], lines: String) -> Result<Vec<u8>, ParquetError> {
    let columns = names.iter().map(|name| column_type(name).map(Arc::new));
    let schema = Type::group_type_builder("vpc_flow_logs")
        .with_fields(columns.collect::<Result<Vec<_>, _>>()?)
        .build()?;
    let properties =
        WriterProperties::builder().set_compression(Compression::GZIP(Default::default())).build();
    let mut body = Vec::new();
    let mut file = SerializedFileWriter::new(&mut body, Arc::new(schema), Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    let mut rest = Rest::new(lines);
    for name in names {
        let Some(mut column) = group.next_column()? else { break };
        if INT_32.contains(name) {
            put::<Int32Type>(&mut column, &mut rest, |_, value| number(value))?;
        } else if INT_64.contains(name) {
            put::<Int64Type>(&mut column, &mut rest, |_, value| number(value))?;
        } else {
            put::<ByteArrayType>(&mut column, &mut rest, |lines, value| {
                Ok(lines.slice_ref(value.as_bytes()).into())
            })?;
        }
        column.close()?;
    }
    group.close()?;
    file.close()?;
    Ok(body)
}

/// What is left of all lines while one column after the other is taken from them.
struct Rest {
    lines: Bytes,
    /// Where the next value of each line begins.
    places: Vec<usize>,
}

impl Rest {
    fn new(lines: String) -> Self {
        let ends = lines.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let mut places: Vec<_> = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        // Every line has an end.
        places.pop();
        Self { lines: lines.into(), places }
    }
}

/// Fills a column with the next value of every line.
fn put<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    rest: &mut Rest,
    read: impl Fn(&Bytes, &str) -> Result<T::T, ParquetError>,
) -> Result<(), ParquetError> {
    let text = std::str::from_utf8(&rest.lines)?;
    let mut values = Vec::with_capacity(rest.places.len());
    let mut levels = Vec::with_capacity(rest.places.len());
    for place in &mut rest.places {
        let line = text.get(*place..).unwrap_or_default();
        let value = line.get(..line.find([' ', '\n']).unwrap_or(line.len())).unwrap_or_default();
        *place += value.len() + 1;
        if value == NONE {
            levels.push(0);
        } else {
            levels.push(1);
            values.push(read(&rest.lines, value)?);
        }
    }
    column.typed::<T>().write_batch(&values, Some(&levels), None).map(|_| ())
}

fn number<N: std::str::FromStr>(value: &str) -> Result<N, ParquetError> {
    value.parse().map_err(|_| ParquetError::General(format!("{value} is no whole number")))
}

fn column_type(field: &str) -> Result<Type, ParquetError> {
    let (physical, logical) = if INT_32.contains(&field) {
        (Physical::INT32, LogicalType::integer(32, true))
    } else if INT_64.contains(&field) {
        (Physical::INT64, LogicalType::integer(64, true))
    } else {
        (Physical::BYTE_ARRAY, LogicalType::String)
    };
    Type::primitive_type_builder(&field.replace('-', "_"), physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(logical))
        .build()
}
