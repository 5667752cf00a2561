//! Parquet with embedded pictures, as Hugging Face's data sets are stored.
//!
//! Texts are read in order, one row group after the other. A row's bytes are read on their own:
//! pages before it are skipped by their headers and only its page is decompressed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eagle_core::data::DataError;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{SerializedFileReader, SerializedPageReader};
use parquet::record::{Field, Row};
use parquet::schema::types::{ColumnDescriptor, Type, TypePtr};
use rayon::prelude::*;
use serde_json::{Map, Value};

/// A Parquet file whose footer was read.
#[derive(Debug)]
pub(crate) struct Parquet {
    path: PathBuf,
    metadata: Arc<ParquetMetaData>,
    /// The first row of each row group, and the number of rows.
    starts: Vec<usize>,
}

impl Parquet {
    /// Reads a file's footer.
    ///
    /// # Errors
    /// A file that can't be read or isn't Parquet.
    pub fn open(path: &Path) -> Result<Parquet, DataError> {
        let reader = reader(path)?;
        let metadata = Arc::new(reader.metadata().clone());
        let mut starts = vec![0];
        for group in metadata.row_groups() {
            starts.push(starts[starts.len() - 1] + usize::try_from(group.num_rows()).unwrap_or(0));
        }
        Ok(Parquet { path: path.to_owned(), metadata, starts })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The names of the columns.
    pub fn columns(&self) -> Vec<&str> {
        let root = self.metadata.file_metadata().schema_descr().root_schema();
        root.get_fields().iter().map(|field| field.name()).collect()
    }

    /// Every row in order, as an object without what is bytes and no text (the pictures).
    ///
    /// # Errors
    /// The file is damaged, or `each` fails.
    pub fn rows(
        &self,
        mut each: impl FnMut(Value) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let reader = reader(&self.path)?;
        let root = self.metadata.file_metadata().schema_descr().root_schema();
        let texts = texts(root).map_err(|error| self.broken(&error))?;
        let Some(texts) = texts else {
            return (0..self.len()).try_for_each(|_| each(Value::Object(Map::new())));
        };
        let rows = reader.get_row_iter(Some(texts)).map_err(|error| self.broken(&error))?;
        for row in rows {
            each(object(&row.map_err(|error| self.broken(&error))?))?;
        }
        Ok(())
    }

    /// The pictures in a column of one row: of bytes, of `struct<bytes, path>`, or a list of these;
    /// none where it is null.
    ///
    /// # Errors
    /// There is no such column of bytes, or the file is damaged.
    pub fn bytes(&self, row: usize, column: &str) -> Result<Vec<Arc<[u8]>>, DataError> {
        let leaf = self.leaf(column)?;
        let group = self.starts.partition_point(|start| *start <= row).saturating_sub(1);
        let values = || {
            let mut column = self.column(group, leaf)?;
            let row = row - self.starts[group];
            if column.skip_records(row)? < row {
                return Err(ParquetError::General(format!("row {row} of a row group is missing")));
            }
            next(&mut column)
        };
        let values = values().map_err(|error| self.broken(&error))?;
        Ok(values.iter().map(|value| Arc::from(value.data())).collect())
    }

    /// Whether each row has pictures in a column.
    ///
    /// # Errors
    /// There is no such column of bytes, or the file is damaged.
    pub fn filled(&self, column: &str) -> Result<Vec<bool>, DataError> {
        let leaf = self.leaf(column)?;
        let of_group = |group: usize| {
            let mut column = self.column(group, leaf)?;
            let rows = self.starts[group]..self.starts[group + 1];
            rows.map(|_| Ok(!next(&mut column)?.is_empty())).collect()
        };
        let groups = (0..self.starts.len() - 1).into_par_iter().map(of_group);
        let groups: Result<Vec<Vec<bool>>, ParquetError> = groups.collect();
        Ok(groups.map_err(|error| self.broken(&error))?.concat())
    }

    /// The leaf of bytes below a column.
    fn leaf(&self, column: &str) -> Result<usize, DataError> {
        let schema = self.metadata.file_metadata().schema_descr();
        let wanted = |leaf: &ColumnDescriptor| {
            leaf.path().parts().first().is_some_and(|first| first == column) && is_bytes(leaf)
        };
        schema.columns().iter().position(|leaf| wanted(leaf)).ok_or_else(|| {
            let detail = format!("no column `{column}` of bytes; it has {:?}", self.columns());
            DataError::File { path: self.path.clone(), detail }
        })
    }

    /// A reader at the beginning of a row group's column.
    fn column(&self, group: usize, leaf: usize) -> Result<Bytes, ParquetError> {
        let group = self.metadata.row_group(group);
        // One handle each: the position of a shared one would be shared between threads.
        let file = Arc::new(File::open(&self.path)?);
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let pages = SerializedPageReader::new(file, group.column(leaf), rows, None)?;
        Ok(Bytes::new(group.column(leaf).column_descr_ptr(), Box::new(pages)))
    }

    fn broken(&self, error: &ParquetError) -> DataError {
        DataError::File { path: self.path.clone(), detail: error.to_string() }
    }
}

type Bytes = ColumnReaderImpl<ByteArrayType>;

/// The values of a column's next row.
fn next(column: &mut Bytes) -> Result<Vec<ByteArray>, ParquetError> {
    let (mut definitions, mut repetitions) = (Vec::new(), Vec::new());
    let mut values = Vec::new();
    column.read_records(1, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
    Ok(values)
}

fn reader(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let file =
        File::open(path).map_err(|error| DataError::Read { path: path.to_owned(), error })?;
    SerializedFileReader::new(file)
        .map_err(|error| DataError::File { path: path.to_owned(), detail: error.to_string() })
}

/// Whether a column holds bytes that are no text.
fn is_bytes(leaf: &ColumnDescriptor) -> bool {
    leaf.physical_type() == Physical::BYTE_ARRAY
        && leaf.logical_type_ref().is_none()
        && leaf.converted_type() == ConvertedType::NONE
}

/// The part of a schema that isn't bytes; `None` if nothing is left.
fn texts(of: &Type) -> Result<Option<Type>, ParquetError> {
    let info = of.get_basic_info();
    if let Type::PrimitiveType { physical_type, .. } = of {
        let text = *physical_type != Physical::BYTE_ARRAY
            || info.logical_type_ref().is_some()
            || info.converted_type() != ConvertedType::NONE;
        return Ok(text.then(|| of.clone()));
    }
    let mut kept: Vec<TypePtr> = Vec::new();
    for field in of.get_fields() {
        kept.extend(texts(field)?.map(Arc::new));
    }
    if kept.is_empty() {
        return Ok(None);
    }
    let group = Type::group_type_builder(of.name()).with_fields(kept);
    let group = group.with_converted_type(info.converted_type());
    let logical: Option<LogicalType> = info.logical_type_ref().cloned();
    let group = group.with_logical_type(logical);
    let group = match info.has_repetition() {
        true => group.with_repetition(info.repetition()),
        false => group,
    };
    group.build().map(Some)
}

fn object(row: &Row) -> Value {
    let fields = row.get_column_iter().map(|(name, field)| (name.clone(), json(field)));
    Value::Object(fields.collect())
}

fn json(field: &Field) -> Value {
    match field {
        Field::Bool(value) => Value::from(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) => Value::from(*value),
        Field::Long(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float(value) => Value::from(*value),
        Field::Double(value) => Value::from(*value),
        Field::Str(value) => Value::from(value.as_str()),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(json).collect(),
        Field::Null | Field::Bytes(_) => Value::Null,
        // Times, decimals and maps: as they print.
        other => Value::from(other.to_string()),
    }
}
