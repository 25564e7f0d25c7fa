//! The backward pass: mirrors [`crate::model`] step by step, from the gradients of its results to those of all parameters.
//!
//! Gradients of parameters are added to [`Gradients`]; those of a block that is applied several times add up by
//! themselves. Shapes as in [`crate::model`].

use albert_kernels::activation::Activation;

use crate::config::AlbertConfig;
use crate::dropout::{DropSite, DropoutPlan, Dropped};
use crate::inputs::{Inputs, Packed};
use crate::model::{
    BlockDropped, BlockInner, BlockTape, Reads, Step, Tape, Workspace, attention_input,
    head_mask_row,
};
use crate::names::{BlockSite, Field, Place, Site};
use crate::ops::{Backend, Gradient, To};
use crate::params::{Block, Encoder};
use crate::variables::Gradients;

/// A forward pass, as its gradient sees it.
pub(crate) struct Backward<'a, B: Backend> {
    pub(crate) device: &'a B,
    pub(crate) config: &'a AlbertConfig,
    pub(crate) encoder: &'a Encoder<B>,
    pub(crate) inputs: &'a Inputs,
    pub(crate) packed: &'a Packed,
    /// Rows of the last hidden state.
    pub(crate) reads: &'a Reads,
    pub(crate) dropout: Option<&'a DropoutPlan>,
}

impl<B: Gradient> Backward<'_, B> {
    /// From the gradients of the last hidden state [T, H], or of its R rows, and of the pooled output [B, H], where there are
    /// any.
    pub(crate) fn run(
        &self,
        tape: Tape<B>,
        hidden: Option<B::Buffer>,
        pooled: Option<B::Buffer>,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) {
        let (device, config, t) = (self.device, self.config, self.packed.rows.len());
        let mut gradient =
            hidden.unwrap_or_else(|| device.zeros(self.reads.count(), config.hidden_size));

        // pooled = tanh(W·h[position 0] + b)
        if let (Some(mut pooled), Some((first, sum))) = (pooled, tape.pooler) {
            let pooler = self.encoder.pooler.as_ref().expect("it was run");
            device.activation_backward(Activation::Tanh, &sum, &mut pooled);
            let mut rows = device.buffer(self.inputs.batch, config.hidden_size);
            let into = gradients.linear(Site::Pooler);
            device.linear_backward(
                &first,
                &pooler.weight,
                &pooled,
                into,
                Some(To::Set(&mut rows)),
            );
            let first = self.reads.places(&self.packed.first_rows());
            device.add_rows(&rows, &first, &mut gradient);
        }

        // Layers from the last to the first
        let mut workspace = None;
        let inners = config.inner_group_num;
        let last = tape.blocks.len().saturating_sub(1);
        for (application, taped) in tape.blocks.into_iter().enumerate().rev() {
            let group = config.group_of_layer(application / inners);
            let inner = application % inners;
            let place = Place { group, inner };
            let wanted = self.reads.some().filter(|_| application == last);
            let pass = BlockPass {
                whole: self,
                wanted,
                place,
                block: self.encoder.block(inners, place),
                head_mask: head_mask_row(config, self.inputs, group, inner),
                dropped: BlockDropped::new(self.dropout, application, self.packed, wanted),
            };
            pass.run(taped, &mut workspace, &mut gradient, gradients);
        }

        // h = x·W_inᵀ + b_in
        let (sum, x) = tape.embeddings.expect("it was run");
        let mut x_gradient = device.buffer(t, config.embedding_size);
        device.linear_backward(
            &x,
            &self.encoder.mapping.weight,
            &gradient,
            gradients.linear(Site::Mapping),
            Some(To::Set(&mut x_gradient)),
        );
        self.embeddings(&sum, x_gradient, gradients);
    }

    /// x = dropout(LayerNorm(word + type + position))
    fn embeddings(
        &self,
        sum: &B::Buffer,
        mut gradient: B::Buffer,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) {
        let (device, packed) = (self.device, self.packed);
        if let Some(plan) = self.dropout
            && let Some(dropped) = plan.rows(DropSite::Embeddings, packed, None)
        {
            device.drop_out(dropped.get(), &mut gradient);
        }
        let norm = &self.encoder.embeddings.norm;
        let into = gradients.norm(Site::EmbeddingNorm);
        device.norm_backward(sum, norm, &mut gradient, into);
        let rows = device.values(&gradient);
        let e = self.config.embedding_size;
        let mut scatter = |site: Site, ids: &[u32], skip: Option<u32>| {
            let table = gradients.table(site, Field::Weight);
            for (row, &id) in rows.chunks_exact(e).zip(ids) {
                if Some(id) == skip {
                    continue;
                }
                for (sum, x) in table[id as usize * e..][..e].iter_mut().zip(row) {
                    *sum = B::scalar((*sum).into() + (*x).into());
                }
            }
        };
        if packed.embeds.is_empty() {
            // PyTorch's padding_idx: the padding's row gets no gradient from the inputs.
            let padding = self
                .config
                .pad_token_id
                .and_then(|id| u32::try_from(id).ok());
            scatter(Site::WordEmbeddings, &packed.ids, padding);
        }
        scatter(Site::TokenTypeEmbeddings, &packed.types, None);
        scatter(Site::PositionEmbeddings, &packed.position_ids, None);
    }
}

/// One application of a block, as its gradient sees it.
struct BlockPass<'a, B: Backend> {
    whole: &'a Backward<'a, B>,
    /// As [`Step::wanted`].
    wanted: Option<&'a [u32]>,
    place: Place,
    block: &'a Block<B>,
    head_mask: Option<&'a [f32]>,
    dropped: BlockDropped,
}

impl<B: Gradient> BlockPass<'_, B> {
    /// `gradient`: of the block's output before, [T, H] or [R, H]; of its input after, [T, H].
    fn run(
        self,
        taped: BlockTape<B>,
        workspace: &mut Option<Workspace<B>>,
        gradient: &mut B::Buffer,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) {
        let Backward {
            device,
            config,
            packed,
            ..
        } = *self.whole;
        let (block, place, t) = (self.block, self.place, packed.rows.len());
        let r = self.wanted.map_or(t, <[u32]>::len);
        let BlockTape { input, inner } = taped;
        let inner = match inner {
            Some(inner) => inner,
            None => self.recompute(&input, workspace),
        };
        let BlockInner {
            qkv,
            context,
            attention_sum,
            attended,
            ffn_sum,
            sum,
        } = inner;

        // h' = LayerNorm(u + dropout(W₂·a + b₂)), a = act(W₁·u + b₁)
        let into = gradients.norm(Site::Block(BlockSite::LayerNorm, place));
        device.norm_backward(&sum, &block.norm, gradient, into);
        drop(sum);
        let activation = config.hidden_act.kernel();
        let activated = device.activate(activation, &ffn_sum);
        let mut f_gradient = device.buffer(r, config.intermediate_size);
        let dropped = self.drop_out(gradient, self.dropped.ffn_output.as_ref());
        device.linear_backward(
            &activated,
            &block.ffn_output.weight,
            dropped.as_ref().unwrap_or(gradient),
            gradients.block(BlockSite::FfnOutput, place),
            Some(To::Set(&mut f_gradient)),
        );
        drop((activated, dropped));
        device.activation_backward(activation, &ffn_sum, &mut f_gradient);
        drop(ffn_sum);
        device.linear_backward(
            &attended,
            &block.ffn.weight,
            &f_gradient,
            gradients.block(BlockSite::Ffn, place),
            Some(To::Add(gradient)),
        );
        drop((attended, f_gradient));

        // u = LayerNorm(h + dropout(W_o·attention(W_qkv·h)))
        let into = gradients.norm(Site::Block(BlockSite::AttentionNorm, place));
        device.norm_backward(&attention_sum, &block.attention_norm, gradient, into);
        drop(attention_sum);
        let width = block.heads * config.head_size();
        let mut context_gradient = device.buffer(r, width);
        let dropped = self.drop_out(gradient, self.dropped.attention_output.as_ref());
        device.linear_backward(
            &context,
            &block.output.weight,
            dropped.as_ref().unwrap_or(gradient),
            gradients.block(BlockSite::AttentionOutput, place),
            Some(To::Set(&mut context_gradient)),
        );
        drop((context, dropped));
        if let Some(rows) = self.wanted {
            let spread = |gradient: &B::Buffer, cols| {
                let mut all = device.zeros(t, cols);
                device.add_rows(gradient, rows, &mut all);
                all
            };
            context_gradient = spread(&context_gradient, width);
            *gradient = spread(gradient, config.hidden_size);
        }
        let attention = attention_input(
            config,
            block,
            packed,
            self.head_mask,
            self.dropped.probabilities.as_ref(),
        );
        let mut qkv_gradient = device.buffer(t, 3 * width);
        device.attention_backward(&qkv, attention, &context_gradient, &mut qkv_gradient);
        drop((qkv, context_gradient));
        device.linear_backward(
            &input,
            &block.qkv.weight,
            &qkv_gradient,
            gradients.block(BlockSite::Query, place),
            Some(To::Add(gradient)),
        );
    }

    /// A dropped copy, where anything is dropped: the residual path keeps the whole gradient.
    fn drop_out(&self, gradient: &B::Buffer, dropped: Option<&Dropped>) -> Option<B::Buffer> {
        dropped.map(|dropped| {
            let mut copy = gradient.clone();
            self.whole.device.drop_out(dropped.get(), &mut copy);
            copy
        })
    }

    /// Runs the block again.
    fn recompute(&self, input: &B::Buffer, workspace: &mut Option<Workspace<B>>) -> BlockInner<B> {
        let Backward {
            device,
            config,
            encoder,
            packed,
            ..
        } = *self.whole;
        let kept = workspace
            .get_or_insert_with(|| Workspace::new(device, config, encoder, packed.rows.len()));
        kept.hidden = input.clone();
        let mut step = Step {
            device,
            config,
            block: self.block,
            packed,
            wanted: self.wanted,
            head_mask: self.head_mask,
            dropped: &self.dropped,
            probabilities: None,
            watch: &mut |_, _| {},
        };
        let inner = step.run_taped(kept);
        if self.wanted.is_some() {
            // It has R rows now.
            *workspace = None;
        }
        inner
    }
}
