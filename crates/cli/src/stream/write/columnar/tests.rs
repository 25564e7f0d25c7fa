//! Files that are read back with the libraries that wrote them.

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
