//! No head: the encoder and its pooler.

use crate::checkpoint::{Loader, Saver};
use crate::error::Result;
use crate::ops::Backend;
use crate::output::{Array, BaseOutput, trace, unpack};
use crate::pretrained::{Head, Pass};

/// Of `AlbertModel`.
pub struct Base;

impl<B: Backend> Head<B> for Base {
    const CLASS: &'static str = "AlbertModel";
    const POOLER: Option<bool> = None;
    type Labels = ();
    type Output = BaseOutput<B::Scalar>;

    fn load(_: &mut Loader<'_, B>) -> Result<Self> {
        Ok(Self)
    }

    fn save<'a>(&'a self, _: &mut Saver<'a, B>) {}

    fn forward(&self, pass: Pass<'_, B>, _: Option<&()>) -> Result<Self::Output> {
        let Pass {
            device,
            config,
            inputs,
            packed,
            encoded,
            ..
        } = pass;
        let pooled = encoded.pooled.as_ref().map(|pooled| {
            Array::new(
                vec![inputs.batch, config.hidden_size],
                device.values(pooled),
            )
        });
        Ok(BaseOutput {
            last_hidden_state: unpack(inputs, packed, &device.values(&encoded.hidden)),
            pooler_output: pooled,
            trace: trace(device, inputs, packed, encoded),
        })
    }
}
