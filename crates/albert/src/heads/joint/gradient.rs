//! The loss of the joint head and its gradients.

use albert_kernels::Activation;

use super::starts::log_softmax;
use super::{JointLabels, JointQuestionAnswering};
use crate::config::AlbertConfig;
use crate::dropout::DropSite;
use crate::error::Result;
use crate::heads::{HeadGradient, HeadStep, Trainable, check_count, linear_values, weight};
use crate::inputs::Inputs;
use crate::loss::binary_cross_entropy;
use crate::model::plain;
use crate::names::{Field, Site};
use crate::ops::{Gradient, LinearGradient, To};
use crate::pretrained::Pass;
use crate::variables::{Gradients, Values};

impl<B: Gradient> Trainable<B> for JointQuestionAnswering<B> {
    fn terms(_: &AlbertConfig, inputs: &Inputs, labels: &JointLabels) -> Result<[usize; 2]> {
        let count = labels.is_impossible.len();
        check_count("is_impossible", count, "[B]", inputs.batch)?;
        Ok([count, 0])
    }

    fn reload(&mut self, device: &B, values: &Values<'_>) {
        values.linear(device, Site::StartLogits, &mut self.start);
        values.linear(device, Site::EndDense, &mut self.end);
        values.norm(device, Site::EndNorm, &mut self.end_norm);
        values.linear(device, Site::EndLogits, &mut self.end_out);
        values.linear(device, Site::AnswerDense, &mut self.none);
        let none_out = values.get(Site::AnswerLogit, Field::Weight);
        device.reload(&mut self.none_out, none_out);
    }

    /// What "no answer" reads is dropped after the tanh.
    fn backward(
        &self,
        pass: Pass<'_, B>,
        labels: &JointLabels,
        step: HeadStep<'_>,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) -> Result<HeadGradient<B>> {
        let Pass { device, packed, .. } = pass;
        let (encoded, t) = (pass.encoded, packed.rows.len());
        let starts = self.starts(&pass)?;
        let (h, batch) = (starts.size, starts.sequences.len());
        let golds = starts.golds(pass.inputs, packed, labels)?;
        let scale = 0.5 * weight(step.terms[0]);
        let up = |rows: usize, cols: usize, values: &[f64]| {
            let values: Vec<B::Scalar> = values.iter().map(|x| B::scalar(*x)).collect();
            device.upload(rows, cols, &values)
        };
        let down = |buffer: &B::Buffer| -> Vec<f64> {
            device.values(buffer).into_iter().map(Into::into).collect()
        };
        let mut loss = 0.0;
        // Of h and of the start scores, collected on the host.
        let mut hidden = vec![0.0; t * h];
        let mut scores = vec![0.0; t];
        let add = |hidden: &mut [f64], row: usize, gradient: &[f64], factor: f64| {
            for (sum, g) in hidden[row * h..][..h].iter_mut().zip(gradient) {
                *sum += factor * g;
            }
        };

        // Ends, given the right start.
        let sequences = || starts.sequences.iter().zip(&golds);
        let rows: Vec<(usize, usize)> = sequences()
            .flat_map(|(one, gold)| one.places.iter().map(|&t| (t, one.places[gold[0]])))
            .collect();
        let n = rows.len();
        let pairs = starts.pairs(device, &rows);
        let mut sum = device.buffer(n, h);
        device.linear(&pairs, &self.end.weight, plain(&self.end), &mut sum);
        let activated = device.activate(Activation::Tanh, &sum);
        let z = self.end_features(device, &pairs, n);
        let logits = linear_values(device, &self.end_out, &z, n);
        let logits: Vec<f64> = logits.into_iter().map(Into::into).collect();
        let mut gradient = Vec::with_capacity(n);
        for (one, &[_, end]) in sequences() {
            let logs = log_softmax(&logits[gradient.len()..][..one.places.len()]);
            loss -= scale * logs[end];
            let hit = |place: usize| f64::from(u8::from(place == end));
            let each = logs.iter().enumerate();
            gradient.extend(each.map(|(place, log)| scale * (log.exp() - hit(place))));
        }
        let mut features = device.buffer(n, h);
        let into = gradients.linear(Site::EndLogits);
        let to = Some(To::Set(&mut features));
        device.linear_backward(&z, &self.end_out.weight, &up(n, 1, &gradient), into, to);
        let into = gradients.norm(Site::EndNorm);
        device.norm_backward(&activated, &self.end_norm, &mut features, into);
        device.activation_backward(Activation::Tanh, &sum, &mut features);
        let mut both = device.buffer(n, 2 * h);
        let into = gradients.linear(Site::EndDense);
        let to = Some(To::Set(&mut both));
        device.linear_backward(&pairs, &self.end.weight, &features, into, to);
        for (&(token, start), gradient) in rows.iter().zip(down(&both).chunks_exact(2 * h)) {
            add(&mut hidden, token, &gradient[..h], 1.0);
            add(&mut hidden, start, &gradient[h..], 1.0);
        }

        // Whether there is an answer.
        let features = starts.features(device);
        let mut sum = device.buffer(batch, h);
        device.linear(&features, &self.none.weight, plain(&self.none), &mut sum);
        let mut activated = device.activate(Activation::Tanh, &sum);
        let dropped = step
            .dropout
            .and_then(|plan| plan.sequences(DropSite::Classifier, batch));
        if let Some(dropped) = &dropped {
            device.drop_out(dropped.get(), &mut activated);
        }
        let none = self.none_scores(device, &activated, batch);
        let mut gradient = Vec::with_capacity(batch);
        for (x, &impossible) in none.iter().zip(&labels.is_impossible) {
            let y = f64::from(u8::from(impossible));
            loss += scale * binary_cross_entropy(&[*x], &[y]);
            gradient.push(scale * (1.0 / (1.0 + (-x).exp()) - y));
        }
        let mut to_activated = device.buffer(batch, h);
        let into = LinearGradient {
            weight: gradients.table(Site::AnswerLogit, Field::Weight),
            bias: None,
        };
        let to = Some(To::Set(&mut to_activated));
        let gradient = up(batch, 1, &gradient);
        device.linear_backward(&activated, &self.none_out, &gradient, into, to);
        if let Some(dropped) = &dropped {
            device.drop_out(dropped.get(), &mut to_activated);
        }
        device.activation_backward(Activation::Tanh, &sum, &mut to_activated);
        let mut both = device.buffer(batch, 2 * h);
        let into = gradients.linear(Site::AnswerDense);
        let to = Some(To::Set(&mut both));
        device.linear_backward(&features, &self.none.weight, &to_activated, into, to);
        for ((one, gold), gradient) in sequences().zip(down(&both).chunks_exact(2 * h)) {
            let (mean, first) = gradient.split_at(h);
            add(&mut hidden, one.places[0], first, 1.0);
            // Σ p·h: of h, p; of p, h; and through the softmax to the scores.
            let dot =
                |row: usize| -> f64 { starts.row(row).iter().zip(mean).map(|(x, g)| x * g).sum() };
            let dots: Vec<f64> = one.places.iter().map(|&row| dot(row)).collect();
            let weights: Vec<f64> = one.starts.iter().map(|log| log.exp()).collect();
            let middle: f64 = weights.iter().zip(&dots).map(|(p, d)| p * d).sum();
            loss -= scale * one.starts[gold[0]];
            for (place, (&row, p)) in one.places.iter().zip(&weights).enumerate() {
                add(&mut hidden, row, mean, *p);
                let hit = f64::from(u8::from(place == gold[0]));
                scores[row] = p * (dots[place] - middle) + scale * (p - hit);
            }
        }

        // Starts.
        let mut out = up(t, h, &hidden);
        let into = gradients.linear(Site::StartLogits);
        let to = Some(To::Add(&mut out));
        let scores = up(t, 1, &scores);
        device.linear_backward(&encoded.hidden, &self.start.weight, &scores, into, to);
        Ok(HeadGradient {
            losses: [loss, 0.0],
            hidden: Some(out),
            pooled: None,
        })
    }
}
