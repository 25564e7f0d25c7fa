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
mod tests {
    use std::path::Path;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float32Type, Int64Type};
    use arrow_array::{Array, RecordBatchReader};
    use arrow_ipc::reader::FileReader;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::Form;
    use super::super::testing::{failure, file, record, vector};
    use super::*;

    /// Rows as (index, text, bits of the embedding), and the number of batches or row groups.
    type Read = Vec<(i64, Option<String>, Option<Vec<u32>>)>;

    fn rows(reader: &mut dyn RecordBatchReader) -> Read {
        let mut found = Vec::new();
        for batch in reader {
            let batch = batch.expect("a batch");
            let index = batch.column(0).as_primitive::<Int64Type>();
            let text = batch.column(1).as_string::<i32>();
            let list = batch.column(2).as_fixed_size_list();
            for i in 0..batch.num_rows() {
                let vector = list.is_valid(i).then(|| {
                    let vector = list.value(i);
                    let vector = vector.as_primitive::<Float32Type>().values().iter();
                    vector.map(|x| x.to_bits()).collect()
                });
                let text = text.is_valid(i).then(|| text.value(i).to_owned());
                found.push((index.value(i), text, vector));
            }
        }
        found
    }

    fn read(form: Form, path: &Path) -> (Read, Arc<Schema>, usize) {
        let file = std::fs::File::open(path).expect("opened");
        if form == Form::Arrow {
            let mut reader = FileReader::try_new(file, None).expect("an Arrow file");
            let (schema, batches) = (reader.schema(), reader.num_batches());
            (rows(&mut reader), schema, batches)
        } else {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
            let groups = builder.metadata().num_row_groups();
            let mut reader = builder.build().expect("a reader");
            let schema = reader.schema();
            (rows(&mut reader), schema, groups)
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        for form in [Form::Parquet, Form::Arrow] {
            let (_folder, path) = file(form, 2, |writer| {
                writer.failure(None, &failure(1)).expect("written");
                writer
                    .answer(&record(2, "é\n"), vector(&[0.1, -0.0]))
                    .expect("written");
                writer
                    .failure(Some(&record(3, "c")), &failure(3))
                    .expect("written");
                writer
                    .answer(&record(4, ""), vector(&[f32::NAN, 1e-40]))
                    .expect("written");
            });
            let bits = |vector: [f32; 2]| Some(vector.map(f32::to_bits).to_vec());
            let text = |text: &str| Some(text.to_owned());
            let (found, schema, _) = read(form, &path);
            let expected = vec![
                (0, None, None),
                (1, text("é\n"), bits([0.1, -0.0])),
                (2, text("c"), None),
                (3, text(""), bits([f32::NAN, 1e-40])),
            ];
            assert_eq!(found, expected, "{form:?}");
            let kinds: Vec<String> = schema
                .fields()
                .iter()
                .map(|f| f.data_type().to_string())
                .collect();
            assert_eq!(kinds.len(), 3);
            assert_eq!(kinds[..2], ["Int64", "Utf8"]);
            assert!(matches!(
                schema.field(2).data_type(),
                DataType::FixedSizeList(item, 2) if *item.data_type() == DataType::Float32
            ));
        }
    }

    #[test]
    fn many_rows_are_several_batches_and_none_is_a_file_too() {
        for form in [Form::Parquet, Form::Arrow] {
            let (_folder, path) = file(form, 768, |writer| {
                for i in 0..30_000_u64 {
                    let reply = vector(&[i as f32; 768]);
                    writer
                        .answer(&record(i + 1, "text"), reply)
                        .expect("written");
                }
            });
            let (found, _, parts) = read(form, &path);
            assert_eq!(found.len(), 30_000);
            for (i, (index, _, vector)) in found.iter().enumerate() {
                assert_eq!(*index, i as i64);
                let bits = (i as f32).to_bits();
                assert!(
                    vector
                        .as_ref()
                        .is_some_and(|v| v.iter().all(|x| *x == bits))
                );
            }
            // 92 MB: at most 8 in a batch, about 32 in a row group.
            assert!(
                parts >= if form == Form::Arrow { 11 } else { 2 },
                "{form:?}: {parts}"
            );
            let (_folder, path) = file(form, 7, |_| {});
            let (found, schema, _) = read(form, &path);
            assert!(found.is_empty());
            assert!(matches!(
                schema.field(2).data_type(),
                DataType::FixedSizeList(_, 7)
            ));
        }
    }
}
