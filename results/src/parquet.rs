//! A data frame to and from Parquet bytes, through polars-parquet alone (see Cargo.toml for why).
//!
//! Strings are written as plain UTF-8 and pages with Snappy, which every reader understands. The
//! same frame gives the same bytes: no time, no host, no random name is written.

use std::io::Cursor;

use polars::prelude::*;
use polars_buffer::Buffer;
use polars_parquet::read::{
    BasicDecompressor, FallibleStreamingIterator, PageReader, ParquetError, column_iter_to_arrays,
    infer_schema, read_metadata,
};
use polars_parquet::write::{
    CompressedPage, CompressionOptions, Compressor, DynIter, DynStreamingIterator, FileWriter,
    ParquetType, StatisticsOptions, Version, WriteOptions, array_to_columns, get_dtype_encoding,
    to_parquet_schema,
};

const OPTIONS: WriteOptions = WriteOptions {
    statistics: StatisticsOptions {
        min_value: true,
        max_value: true,
        distinct_count: false,
        null_count: true,
        binary_statistics_truncate_length: Some(64),
    },
    version: Version::V1,
    compression: CompressionOptions::Snappy,
    data_page_size: None,
};

/// Rows in a row group: bounds the memory that a reader needs.
const ROW_GROUP: usize = 1 << 18;

type Pages = DynStreamingIterator<'static, CompressedPage, PolarsError>;

/// The bytes of a Parquet file that holds `frame`.
pub fn encode(frame: &DataFrame) -> PolarsResult<Vec<u8>> {
    // `oldest`: LargeUtf8 instead of string views, which older pyarrow cannot read.
    let compat = CompatLevel::oldest();
    let schema = frame
        .schema()
        .iter_fields()
        .map(|f| (f.name().clone(), f.dtype().to_arrow_field(f.name().clone(), compat)))
        .collect();
    let types = to_parquet_schema(&schema)?;
    let mut writer = FileWriter::try_new(Vec::new(), schema, OPTIONS)?;
    for start in (0..frame.height()).step_by(ROW_GROUP) {
        let mut rows = frame.slice(start as i64, ROW_GROUP);
        rows.rechunk_mut();
        for batch in rows.iter_chunks(compat, false) {
            let mut columns = Vec::new();
            for (array, kind) in batch.columns().iter().zip(types.fields()) {
                columns.extend(column_pages(array, kind)?.into_iter().map(Ok));
            }
            writer.write(batch.len() as u64, DynIter::new(columns.into_iter()))?;
        }
    }
    writer.end(None)?;
    Ok(writer.into_inner())
}

fn column_pages(array: &ArrayRef, kind: &ParquetType) -> PolarsResult<Vec<Pages>> {
    let encodings = get_dtype_encoding(array.dtype());
    let columns = array_to_columns(array, kind.clone(), OPTIONS, &encodings)?;
    Ok(columns
        .into_iter()
        .map(|pages| {
            let pages =
                pages.map(|p| p.map_err(|e| ParquetError::FeatureNotSupported(e.to_string())));
            let compressor = Compressor::new_from_vec(pages, OPTIONS.compression, Vec::new());
            DynStreamingIterator::new(compressor.map_err(PolarsError::from))
        })
        .collect())
}

/// The frame in the bytes of a Parquet file that [`encode`] wrote.
pub fn decode(bytes: Vec<u8>) -> PolarsResult<DataFrame> {
    let metadata = read_metadata(&mut Cursor::new(&bytes))?;
    let schema = infer_schema(&metadata)?;
    let bytes = Buffer::from(bytes);
    let mut columns = Vec::with_capacity(schema.len());
    for (name, field) in schema.iter() {
        let mut series = Series::new_empty(name.clone(), &DataType::from_arrow_field(field));
        for group in &metadata.row_groups {
            let (pages, types) = group
                .columns_under_root_iter(name)
                .into_iter()
                .flatten()
                .map(|column| {
                    let range = column.byte_range();
                    let chunk = bytes.clone().sliced(range.start as usize..range.end as usize);
                    let pages = PageReader::new(Cursor::new(chunk), column, Vec::new(), usize::MAX);
                    let kind = &column.descriptor().descriptor.primitive_type;
                    (BasicDecompressor::new(pages, Vec::new()), kind)
                })
                .unzip();
            let (arrays, _) = column_iter_to_arrays(pages, types, field.clone(), None)?;
            series.append(&Series::try_from((field, arrays))?)?;
        }
        columns.push(series.into_column());
    }
    DataFrame::new(metadata.num_rows, columns)
}
