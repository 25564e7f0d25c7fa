//! A model's folder: its configuration and its checkpoint, made to agree where Google's files leave something unsaid.

use std::path::Path;

use albert_formats::Checkpoint;

use super::View;
use crate::config::{AlbertConfig, ConfigDialect, ConfigReport};
use crate::error::Result;
use crate::names::{Dialect, Field, Site};

/// A configuration and the checkpoint that it belongs to.
pub struct ModelFolder {
    /// The configuration.
    pub config: AlbertConfig,
    /// What reading it noticed.
    pub report: ConfigReport,
    /// The tensors, under whatever names.
    pub checkpoint: Checkpoint,
}

impl ModelFolder {
    /// Opens the configuration ([`AlbertConfig::from_folder`]) and the checkpoint (`Checkpoint::open`) of a folder.
    ///
    /// # Errors
    /// Files that are not there, cannot be read, or are wrong.
    pub fn open(folder: &Path) -> Result<Self> {
        let (config, report) = AlbertConfig::from_folder(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        Ok(Self::of(config, report, checkpoint))
    }

    /// A configuration and a checkpoint from different places. What Google's configuration does not say is taken from the
    /// tensors: the number of classes, and the class where the heads leave no doubt.
    pub fn of(mut config: AlbertConfig, mut report: ConfigReport, checkpoint: Checkpoint) -> Self {
        let view = View::new(&checkpoint);
        if view.dialect == Dialect::Zh && config.embedding_size != config.hidden_size {
            // Its tables and its first normalisation are as wide as the encoder.
            config.embedding_size = config.hidden_size;
            report.notes.push(format!(
                "the weights have the first layout of albert_zh: as an ALBERT, `embedding_size` is {}, and the word table the product of its two factors",
                config.hidden_size
            ));
        }
        if report.dialect == ConfigDialect::Google {
            if let Some(classes) = classifier_rows(&view) {
                config.set_num_labels(classes);
            }
            if config.architectures.is_empty()
                && let Some(class) = head_class(&view)
            {
                config.architectures = vec![class.to_owned()];
            }
        }
        Self {
            config,
            report,
            checkpoint,
        }
    }
}

/// The tensors of a checkpoint under Hugging Face names.
pub struct Named {
    /// Whose names they have in the file.
    pub dialect: Dialect,
    /// Names and shapes as transformers' PyTorch classes have them; tensors that no ALBERT has keep theirs.
    tensors: Vec<(String, Vec<usize>)>,
}

impl Named {
    /// Finds them.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let view = View::new(checkpoint);
        let known = view
            .known()
            .map(|(name, stored)| (name.to_owned(), stored.shape()));
        let unknown = view.unknown.iter();
        let unknown = unknown.map(|info| (info.name.clone(), info.shape.clone()));
        Self {
            dialect: view.dialect,
            tensors: known.chain(unknown).collect(),
        }
    }

    /// Names and shapes, for [`AlbertConfig::lint`].
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()))
    }
}

/// Rows of a checkpoint's classifier, where it has one: C, or 1 for multiple choice.
pub fn classifier_labels(checkpoint: &Checkpoint) -> Option<usize> {
    classifier_rows(&View::new(checkpoint))
}

fn classifier_rows(view: &View<'_>) -> Option<usize> {
    let classifier = view.get(&Site::Classifier.name(Field::Weight))?;
    classifier.shape().first().copied()
}

/// The class that has the heads which are there, if it is one alone.
pub(crate) fn head_class(view: &View<'_>) -> Option<&'static str> {
    let holds = |module| view.holds(module);
    // One score may be that of a regression or of a choice.
    let classified = classifier_rows(view).is_some_and(|rows| rows > 1);
    let classes = [
        (
            holds("predictions") && holds("sop_classifier"),
            "AlbertForPreTraining",
        ),
        (
            holds("predictions") && !holds("sop_classifier"),
            "AlbertForMaskedLM",
        ),
        (classified, "AlbertForSequenceClassification"),
        (holds("qa_outputs"), "AlbertForQuestionAnswering"),
        (holds("start_logits"), "AlbertForJointQuestionAnswering"),
    ];
    let mut found = classes.into_iter().filter(|(there, _)| *there);
    match (found.next(), found.next()) {
        (Some((_, class)), None) => Some(class),
        (None, _) if !holds("classifier") => Some("AlbertModel"),
        _ => None,
    }
}
