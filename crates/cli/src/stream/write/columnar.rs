//! Embeddings as columns: Parquet and Arrow IPC files with `index`, `text` and `embedding`.
//!
//! A record batch is written for every few thousand rows, so memory does not grow with the file. An
//! input that failed has no embedding, and no text where it could not be read.

use std::sync::Arc;

use anyhow::Result;
use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::{Failure, Record, Reply, Target, Writer};
use crate::stream::task::Output;

/// Rows of a batch, and about the most bytes of one.
const ROWS: usize = 4096;
const BYTES: usize = 8 << 20;
/// About the most bytes of a row group of Parquet: they are in memory until it is full.
const GROUP: usize = 32 << 20;

pub(super) struct Columnar {
    file: File,
    rows: Vec<Row>,
    bytes: usize,
    written: i64,
    width: Option<usize>,
}

struct Row {
    text: Option<String>,
    vector: Option<Vec<f32>>,
}

/// The file: before the first batch, whose vectors tell the schema, and after it.
enum File {
    Unopened(Target, Kind),
    Parquet(Box<ArrowWriter<Target>>),
    Arrow(Box<FileWriter<Target>>),
    /// Between the two, and after an error.
    Gone,
}

#[derive(Clone, Copy)]
enum Kind {
    Parquet,
    Arrow,
}

impl Columnar {
    pub(super) fn parquet(target: Target) -> Self {
        Self::new(target, Kind::Parquet)
    }

    pub(super) fn arrow(target: Target) -> Self {
        Self::new(target, Kind::Arrow)
    }

    fn new(target: Target, kind: Kind) -> Self {
        Self {
            file: File::Unopened(target, kind),
            rows: Vec::new(),
            bytes: 0,
            written: 0,
            width: None,
        }
    }

    fn push(&mut self, row: Row) -> Result<()> {
        self.bytes += row.text.as_ref().map_or(0, String::len);
        self.bytes += row.vector.as_ref().map_or(0, |vector| vector.len() * 4);
        if let Some(vector) = &row.vector {
            let width = *self.width.get_or_insert(vector.len());
            assert_eq!(width, vector.len(), "vectors of one length");
        }
        self.rows.push(row);
        // Without a vector so far there is no schema: failures wait, as little as they are.
        if let (Some(width), true) = (self.width, self.rows.len() >= ROWS || self.bytes >= BYTES) {
            self.write(width)?;
        }
        Ok(())
    }

    /// Writes the rows that wait.
    fn write(&mut self, width: usize) -> Result<()> {
        let batch = self.batch(width)?;
        if let File::Unopened(..) = self.file {
            let File::Unopened(target, kind) = std::mem::replace(&mut self.file, File::Gone) else {
                unreachable!("looked at")
            };
            self.file = match kind {
                Kind::Parquet => {
                    // Embeddings neither repeat nor shrink.
                    let properties = WriterProperties::builder()
                        .set_dictionary_enabled(false)
                        .set_max_row_group_bytes(Some(GROUP))
                        .set_created_by(format!("albert {}", env!("CARGO_PKG_VERSION")))
                        .build();
                    let writer = ArrowWriter::try_new(target, batch.schema(), Some(properties))?;
                    File::Parquet(Box::new(writer))
                }
                Kind::Arrow => File::Arrow(Box::new(FileWriter::try_new(target, &batch.schema())?)),
            };
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        match &mut self.file {
            File::Parquet(writer) => writer.write(&batch)?,
            File::Arrow(writer) => writer.write(&batch)?,
            File::Unopened(..) | File::Gone => unreachable!("opened above"),
        }
        Ok(())
    }

    fn batch(&mut self, width: usize) -> Result<RecordBatch> {
        self.bytes = 0;
        let (mut index, mut text) = (Int64Builder::new(), StringBuilder::new());
        let size = i32::try_from(width)?;
        let mut vectors = FixedSizeListBuilder::new(Float32Builder::new(), size);
        for row in self.rows.drain(..) {
            index.append_value(self.written);
            self.written += 1;
            text.append_option(row.text);
            match &row.vector {
                Some(vector) => vectors.values().append_slice(vector),
                None => vectors.values().append_nulls(width),
            }
            vectors.append(row.vector.is_some());
        }
        let item = Arc::new(Field::new_list_field(DataType::Float32, true));
        let schema = Schema::new(vec![
            Field::new("index", DataType::Int64, false),
            Field::new("text", DataType::Utf8, true),
            Field::new("embedding", DataType::FixedSizeList(item, size), true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(index.finish()),
            Arc::new(text.finish()),
            Arc::new(vectors.finish()),
        ];
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }
}

impl Writer for Columnar {
    fn answer(&mut self, input: &Record, reply: Reply) -> Result<()> {
        let Output::Vector(vector) = reply.output else {
            unreachable!("the form was chosen for embeddings")
        };
        self.push(Row {
            text: input.text(0).map(str::to_owned),
            vector: Some(vector),
        })
    }

    fn failure(&mut self, input: Option<&Record>, _: &Failure) -> Result<()> {
        self.push(Row {
            text: input.and_then(|input| input.text(0)).map(str::to_owned),
            vector: None,
        })
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn finish(mut self: Box<Self>, width: usize) -> Result<()> {
        self.write(self.width.unwrap_or(width))?;
        let target = match self.file {
            File::Parquet(writer) => writer.into_inner()?,
            File::Arrow(writer) => writer.into_inner()?,
            File::Unopened(..) | File::Gone => unreachable!("opened by write"),
        };
        target.finish()
    }
}

#[cfg(test)]
mod tests;
