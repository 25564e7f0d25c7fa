//! Predictions as files: those of `run_glue.py`, and those that gluebenchmark.com takes.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::{GlueTask, Predictions, Split};
use crate::error::{Error, Result};
use crate::tasks::files;
use crate::tasks::text::TextExamples;

impl GlueTask {
    /// Writes into `folder` the predictions for a file's examples in two forms, and returns their paths:
    /// `predict_results_{task}.txt` as transformers' `run_glue.py` (places from 0, names of labels, values with three
    /// decimals), and the file of the official submission (`CoLA.tsv`, `MNLI-m.tsv`, `MNLI-mm.tsv`, `AX.tsv`, …), with the
    /// examples' own numbers, labels as in GLUE's files and values held between 0 and 5.
    ///
    /// # Errors
    /// Another number of predictions than of examples, a class that the task does not have, files that cannot be written.
    pub fn write_predictions(
        self,
        folder: &Path,
        split: Split,
        examples: &TextExamples,
        predictions: &Predictions,
    ) -> Result<[PathBuf; 2]> {
        let count = match predictions {
            Predictions::Classes(list) => list.len(),
            Predictions::Values(list) => list.len(),
        };
        if count != examples.ids.len() {
            let expected = format!("one for each of {} examples", examples.ids.len());
            return Err(Error::input("predictions", expected, count));
        }
        let mut texts = [(); 2].map(|()| "index\tprediction\n".to_owned());
        for (place, id) in examples.ids.iter().enumerate() {
            let [plain, official] = match predictions {
                Predictions::Classes(list) => {
                    let facts = self.facts();
                    let of = |names: &[&str]| names.get(list[place]).map(|&name| name.to_owned());
                    let (Some(label), Some(cell)) = (of(facts.labels), of(facts.cells)) else {
                        let expected = format!("classes of {}", self.name());
                        return Err(Error::input("predictions", expected, list[place]));
                    };
                    [label, cell]
                }
                Predictions::Values(list) => {
                    [list[place], list[place].clamp(0.0, 5.0)].map(|value| format!("{value:.3}"))
                }
            };
            // Writing into a string cannot fail.
            let _ = writeln!(texts[0], "{place}\t{plain}");
            let _ = writeln!(texts[1], "{id}\t{official}");
        }
        let paths = self.facts().outputs(split).map(|name| folder.join(name));
        for (path, text) in paths.iter().zip(&texts) {
            files::write(path, text)?;
        }
        Ok(paths)
    }
}
