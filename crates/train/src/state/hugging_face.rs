//! `trainer_state.json` as transformers' trainer writes it.

use serde_json::{Value, json};

use super::State;
use crate::trainer::options::{Cadence, TrainOptions};

/// The state in Hugging Face's shape. Times are not in it: the same numbers give the same bytes.
pub fn trainer_state(state: &State, options: &TrainOptions, samples: usize) -> Value {
    let steps = |cadence| match cadence {
        Cadence::Steps(steps) => json!(steps),
        Cadence::Never => Value::Null,
        Cadence::Epochs => json!(options.steps_per_epoch(samples)),
    };
    let total = options.total_steps(samples);
    let epochs = total.div_ceil(options.steps_per_epoch(samples).max(1));
    let best = state.best.map(|(step, _)| {
        let folder = options.output.join(format!("checkpoint-{step}"));
        folder.display().to_string()
    });
    json!({
        "best_global_step": state.best.map(|(step, _)| step),
        "best_metric": state.best.map(|(_, value)| value),
        "best_model_checkpoint": best,
        "epoch": state.epoch,
        "eval_steps": steps(options.evaluate),
        "global_step": state.step,
        "is_hyper_param_search": false,
        "is_local_process_zero": true,
        "is_world_process_zero": true,
        "log_history": state.history,
        "logging_steps": options.log_every,
        "max_steps": total,
        "num_input_tokens_seen": state.tokens,
        "num_train_epochs": epochs,
        "save_steps": steps(options.save),
        "stateful_callbacks": {},
        "total_flos": state.total_flos,
        "train_batch_size": options.batch,
        "trial_name": null,
        "trial_params": null,
    })
}
