//! eagle-results.
pub use polars::sql::SQLContext;
pub use polars_io::parquet::write::ParquetWriter;
