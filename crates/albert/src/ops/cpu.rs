//! The seam on the processor: packed weights and the kernels of `albert-kernels`.

mod gradient;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use albert_kernels::activation::Activation;
use albert_kernels::attention::{Attention, Relative, attention};
use albert_kernels::feedback::Feedback;
use albert_kernels::gemm::{self, Packed, linear};
use albert_kernels::norm::{NormWeights, layer_norm};
use albert_kernels::pack::{LANES, Line, Words, pack_weight_panel, packed_len, unpack_row};
use albert_kernels::parallel::Pool;
use albert_kernels::{Isa, Scratch, bf16, int8};

use super::{AttentionInput, Backend, Care, Dropout, Embedding, Epilogue, Norm, ReadRows};

/// The form of weight matrices and their products. Everything else (norms, attention, activations, heads) is f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Weights and activations rounded to bfloat16, sums in f32.
    Bf16,
    /// Weights of 8 bits with a scale for each row, activations of 8 bits with a scale for each token, exact sums.
    Int8,
}

/// Instructions, threads and precision of a [`Cpu`].
#[derive(Clone, Copy, Debug)]
pub struct CpuOptions {
    /// Instruction set; results do not depend on it.
    pub isa: Isa,
    /// Threads, the caller included; results do not depend on it.
    pub threads: usize,
    /// Form of the weight matrices; results do depend on it.
    pub precision: Precision,
}

impl Default for CpuOptions {
    /// The best instruction set of this machine and one thread for each core that the process may use.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            isa: Isa::best(),
            threads,
            precision: Precision::default(),
        }
    }
}

/// The processor: an instruction set, a pool of threads and their working memory. Cheap to clone; clones
/// share threads and take turns.
#[derive(Clone)]
pub struct Cpu {
    isa: Isa,
    precision: Precision,
    pool: Arc<Pool>,
    scratch: Arc<Mutex<Vec<Scratch>>>,
    /// The right operand of the gradients' products, packed as it is used.
    right: Arc<Mutex<Form>>,
    shelf: Arc<Shelf>,
}

/// Memory of dropped activations, kept for the next ones: fresh pages cost more than some operations.
struct Shelf {
    memory: Mutex<Kept>,
    /// Elements that are kept and in use at most; but [`SHELF_ELEMENTS`] are always kept.
    most: AtomicUsize,
}

#[derive(Default)]
struct Kept {
    memory: Vec<Vec<f32>>,
    /// Elements in use.
    used: usize,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            memory: Mutex::default(),
            most: AtomicUsize::new(SHELF_ELEMENTS),
        }
    }
}

/// Elements that a shelf keeps at most (128 MiB) unless [`Cpu::keep_memory`] says more.
const SHELF_ELEMENTS: usize = 32 << 20;

impl Shelf {
    /// The smallest kept memory with room for `len` elements from a cache line on, else new memory. Contents are
    /// whatever was there.
    fn take(&self, len: usize) -> Vec<f32> {
        let len = len + LANES;
        let mut kept = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = (0..kept.memory.len())
            .filter(|&i| kept.memory[i].len() >= len)
            .min_by_key(|&i| kept.memory[i].len());
        let found = fitting.map(|i| kept.memory.swap_remove(i));
        kept.used += found.as_ref().map_or(len, Vec::len);
        self.shrink(&mut kept);
        drop(kept);
        found.unwrap_or_else(|| vec![0.0; len])
    }

    fn put(&self, data: Vec<f32>) {
        let mut kept = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        kept.used -= data.len();
        kept.memory.push(data);
        self.shrink(&mut kept);
    }

    /// Frees what is too much: the smallest first, they are the cheapest to get again.
    fn shrink(&self, kept: &mut Kept) {
        let most = self.most.load(Ordering::Relaxed);
        let most = most.saturating_sub(kept.used).max(SHELF_ELEMENTS);
        while kept.memory.iter().map(Vec::len).sum::<usize>() > most {
            let smallest = (0..kept.memory.len())
                .min_by_key(|&i| kept.memory[i].len())
                .expect("not empty");
            kept.memory.swap_remove(smallest);
        }
    }
}

/// Activations [rows, cols], row-major.
pub struct Matrix {
    rows: usize,
    cols: usize,
    /// At least rows·cols elements from the first cache line on.
    memory: Vec<f32>,
    shelf: Arc<Shelf>,
}

impl Matrix {
    /// Where the first cache line starts.
    fn start(&self) -> usize {
        self.memory
            .as_ptr()
            .align_offset(size_of::<Line>())
            .min(LANES)
    }

    fn data(&self) -> &[f32] {
        &self.memory[self.start()..][..self.rows * self.cols]
    }

    fn data_mut(&mut self) -> &mut [f32] {
        let start = self.start();
        &mut self.memory[start..][..self.rows * self.cols]
    }
}

impl Clone for Matrix {
    fn clone(&self) -> Self {
        let mut copy = Self {
            memory: self.shelf.take(self.data().len()),
            shelf: Arc::clone(&self.shelf),
            ..*self
        };
        copy.data_mut().copy_from_slice(self.data());
        copy
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        self.shelf.put(std::mem::take(&mut self.memory));
    }
}

/// A weight matrix [rows, cols] in panels.
pub struct PackedMatrix {
    rows: usize,
    cols: usize,
    form: Form,
    /// Its transpose in panels, once a gradient needs it.
    transposed: OnceLock<Form>,
}

/// The elements of a weight matrix, in the precision of its products.
enum Form {
    F32(Vec<Line>),
    Bf16(Vec<Words>),
    Int8(Vec<Words>, Vec<int8::Columns>),
}

impl PackedMatrix {
    fn row(&self, row: usize, out: &mut [f32]) {
        match &self.form {
            Form::F32(panels) => unpack_row(panels, self.cols, row, out),
            Form::Bf16(panels) => self.bf16(panels).unpack_row(row, out),
            Form::Int8(panels, columns) => self.int8(panels, columns).unpack_row(row, out),
        }
    }

    fn bf16<'a>(&self, panels: &'a [Words]) -> bf16::Packed<'a> {
        bf16::Packed {
            panels,
            rows: self.rows,
            cols: self.cols,
        }
    }

    fn int8<'a>(&self, panels: &'a [Words], columns: &'a [int8::Columns]) -> int8::Packed<'a> {
        int8::Packed {
            panels,
            columns,
            rows: self.rows,
            cols: self.cols,
        }
    }
}

impl Cpu {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(options: CpuOptions) -> std::io::Result<Self> {
        let pool = Pool::new(options.threads)?;
        let scratch = (0..pool.threads()).map(|_| Scratch::default()).collect();
        Ok(Self {
            isa: options.isa,
            precision: options.precision,
            pool: Arc::new(pool),
            scratch: Arc::new(Mutex::new(scratch)),
            right: Arc::new(Mutex::new(Form::F32(Vec::new()))),
            shelf: Arc::default(),
        })
    }

    /// Instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Form of the weight matrices.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Threads in use.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The pool of threads.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Keeps dropped activations for later ones while they and those in use are up to `bytes`: training needs as much again
    /// in every step. 128 MiB are kept in any case.
    pub fn keep_memory(&self, bytes: usize) {
        let elements = (bytes / size_of::<f32>()).max(SHELF_ELEMENTS);
        self.shelf.most.store(elements, Ordering::Relaxed);
    }

    fn with_scratch<R>(&self, f: impl FnOnce(&mut [Scratch]) -> R) -> R {
        f(&mut self.scratch.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads a matrix [rows, cols] in blocks of 16 rows, and packs each into its panel.
    fn pack<T: Send, E: Send>(
        &self,
        rows: usize,
        cols: usize,
        read: &ReadRows<'_, E>,
        panels: &mut [T],
        pack: impl Fn(usize, &[f32], &mut [T]) + Sync,
    ) -> Result<(), E> {
        let error = Mutex::new(None);
        let mut blocks = vec![vec![0.0; LANES * cols]; self.pool.threads()];
        let size = panels.len() / rows.div_ceil(LANES).max(1);
        self.pool
            .for_chunks(panels, size, &mut blocks, |block, p, panel| {
                let first = p * LANES;
                let block = &mut block[..LANES.min(rows - first) * cols];
                match read(first, block) {
                    Ok(()) => pack(p, block, panel),
                    Err(e) => *error.lock().expect("no panic while locked") = Some(e),
                }
            });
        let error = error.into_inner().expect("no panic while locked");
        error.map_or(Ok(()), Err)
    }

    /// out ← residual + dropout(activation(out))
    fn finish_apart(
        &self,
        activation: Activation,
        dropout: Option<Dropout<'_>>,
        residual: Option<&Matrix>,
        out: &mut Matrix,
    ) {
        let cols = out.cols;
        if activation != Activation::Linear {
            activation.apply_parallel(self.isa, &self.pool, out.data_mut());
        }
        if let Some(dropout) = dropout {
            dropout.apply(&self.pool, out.data_mut(), cols);
        }
        if let Some(residual) = residual {
            add(&self.pool, residual.data(), out.data_mut());
        }
    }

    fn norm(&self, x: &mut Matrix, norm: &Norm<Vec<f32>>) {
        let weights = NormWeights {
            gamma: &norm.gamma,
            beta: &norm.beta,
            epsilon: norm.epsilon as f32,
        };
        layer_norm(self.isa, &self.pool, x.data_mut(), weights);
    }
}

/// out ← out + x
fn add(pool: &Pool, x: &[f32], out: &mut [f32]) {
    const STEP: usize = 1 << 14;
    pool.for_chunks(out, STEP, &mut vec![(); pool.threads()], |(), i, out| {
        for (out, x) in out.iter_mut().zip(&x[i * STEP..]) {
            *out += x;
        }
    });
}

impl Backend for Cpu {
    type Scalar = f32;
    type Buffer = Matrix;
    type Weight = PackedMatrix;
    type Vector = Vec<f32>;

    fn weight<E: Send>(
        &self,
        rows: usize,
        cols: usize,
        care: Care<'_>,
        read: &ReadRows<'_, E>,
    ) -> Result<PackedMatrix, E> {
        let precision = match (self.precision, care) {
            (_, Care::Exact) => Precision::F32,
            (Precision::Int8, Care::Half) => Precision::Bf16,
            (Precision::Int8, _) if cols > int8::MAX_COLS => Precision::F32,
            (precision, _) => precision,
        };
        let form = match precision {
            Precision::F32 => {
                let mut panels = vec![Line::default(); packed_len(rows, cols)];
                self.pack(rows, cols, read, &mut panels, |_, block, panel| {
                    pack_weight_panel(self.isa, block, cols, panel)
                })?;
                Form::F32(panels)
            }
            Precision::Bf16 => {
                let mut panels = vec![Words::default(); bf16::packed_len(rows, cols)];
                self.pack(rows, cols, read, &mut panels, |_, block, panel| {
                    bf16::pack_weight_panel(self.isa, block, cols, panel)
                })?;
                Form::Bf16(panels)
            }
            Precision::Int8 => {
                let feedback = match care {
                    Care::Known(moments) => Feedback::new(&moments.means, &moments.variance),
                    _ => None,
                };
                let mut panels = vec![Words::default(); int8::packed_len(rows, cols)];
                let columns = Mutex::new(vec![int8::Columns::default(); rows.div_ceil(LANES)]);
                self.pack(rows, cols, read, &mut panels, |p, block, panel| {
                    let packed =
                        int8::pack_weight_panel(self.isa, block, cols, feedback.as_ref(), panel);
                    columns.lock().expect("no panic while locked")[p] = packed;
                })?;
                Form::Int8(panels, columns.into_inner().expect("no panic while locked"))
            }
        };
        Ok(PackedMatrix {
            rows,
            cols,
            form,
            transposed: OnceLock::new(),
        })
    }

    fn wants_moments(&self) -> bool {
        self.precision == Precision::Int8
    }

    fn weight_row(&self, weight: &PackedMatrix, row: usize, out: &mut [f32]) {
        weight.row(row, out);
    }

    fn weight_integers(&self, weight: &PackedMatrix, row: usize, out: &mut [i8]) -> Option<f32> {
        match &weight.form {
            Form::Int8(panels, columns) => {
                Some(weight.int8(panels, columns).unpack_integers(row, out))
            }
            Form::F32(_) | Form::Bf16(_) => None,
        }
    }

    fn weight_shape(&self, weight: &PackedMatrix) -> (usize, usize) {
        (weight.rows, weight.cols)
    }

    fn vector(&self, values: Vec<f32>) -> Vec<f32> {
        values
    }

    fn vector_values(&self, vector: &Vec<f32>) -> Vec<f32> {
        vector.clone()
    }

    fn buffer(&self, rows: usize, cols: usize) -> Matrix {
        Matrix {
            rows,
            cols,
            memory: self.shelf.take(rows * cols),
            shelf: Arc::clone(&self.shelf),
        }
    }

    fn upload(&self, rows: usize, cols: usize, values: &[f32]) -> Matrix {
        let mut out = self.buffer(rows, cols);
        out.data_mut().copy_from_slice(values);
        out
    }

    fn values(&self, buffer: &Matrix) -> Vec<f32> {
        buffer.data().to_vec()
    }

    fn scalar(value: f64) -> f32 {
        value as f32
    }

    fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn embed(&self, embedding: Embedding<'_, Self>) -> Matrix {
        let cols = embedding.norm.gamma.len();
        let mut x = self.buffer(embedding.types.1.len(), cols);
        for (t, row) in x.data_mut().chunks_exact_mut(cols).enumerate() {
            match (embedding.words, embedding.embeds) {
                (Some((table, ids)), _) => table.row(ids[t] as usize, row),
                (None, Some(embeds)) => row.copy_from_slice(&embeds[t * cols..][..cols]),
                (None, None) => unreachable!("checked with the inputs"),
            }
            for (table, ids) in [Some(embedding.types), embedding.positions]
                .into_iter()
                .flatten()
            {
                for (x, y) in row.iter_mut().zip(&table[ids[t] as usize * cols..]) {
                    *x += y;
                }
            }
        }
        if let Some(kept) = embedding.kept {
            kept.data_mut().copy_from_slice(x.data());
        }
        self.norm(&mut x, embedding.norm);
        if let Some(dropout) = embedding.dropout {
            dropout.apply(&self.pool, x.data_mut(), cols);
        }
        x
    }

    fn linear(
        &self,
        x: &Matrix,
        weight: &PackedMatrix,
        epilogue: Epilogue<'_, Self>,
        out: &mut Matrix,
    ) {
        assert_eq!(
            (x.cols, x.rows, weight.rows),
            (weight.cols, out.rows, out.cols),
            "linear layer"
        );
        // What is kept or dropped on the way interrupts the kernel's own epilogue.
        let curved = epilogue.activation != Activation::Linear;
        let apart = epilogue.dropout.is_some() || (curved && epilogue.kept.is_some());
        let then = gemm::Epilogue {
            bias: epilogue.bias.map(Vec::as_slice),
            activation: if apart {
                Activation::Linear
            } else {
                epilogue.activation
            },
            residual: epilogue.residual.filter(|_| !apart).map(|r| r.data()),
        };
        let (isa, pool, x) = (self.isa, &self.pool, x.data());
        self.with_scratch(|scratch| match &weight.form {
            Form::F32(panels) => {
                let packed = Packed {
                    panels,
                    rows: weight.rows,
                    cols: weight.cols,
                };
                linear(isa, pool, x, packed, then, out.data_mut(), scratch);
            }
            Form::Bf16(panels) => {
                let packed = weight.bf16(panels);
                // A model in int8, which has a matrix in bfloat16, gives the same bits everywhere.
                let isa = match self.precision {
                    Precision::Int8 => isa.with_common_bf16(),
                    Precision::F32 | Precision::Bf16 => isa,
                };
                bf16::linear(isa, pool, x, packed, then, out.data_mut(), scratch);
            }
            Form::Int8(panels, columns) => {
                let packed = weight.int8(panels, columns);
                int8::linear(isa, pool, x, packed, then, out.data_mut(), scratch);
            }
        });
        let mut kept = epilogue.kept;
        if apart {
            if let Some(kept) = kept.take_if(|_| curved) {
                kept.data_mut().copy_from_slice(out.data());
            }
            self.finish_apart(
                epilogue.activation,
                epilogue.dropout,
                epilogue.residual,
                out,
            );
        }
        if let Some(norm) = epilogue.norm {
            if let Some(kept) = kept {
                kept.data_mut().copy_from_slice(out.data());
            }
            self.norm(out, norm);
        }
    }

    fn attention(
        &self,
        qkv: &Matrix,
        input: AttentionInput<'_, Self>,
        context: &mut Matrix,
        probabilities: Option<&mut Matrix>,
    ) {
        let AttentionInput {
            heads,
            head_size,
            layout,
            relative,
            head_mask,
            dropout,
        } = input;
        let relative = relative.map(|(table, positions, with_key)| Relative {
            table,
            positions,
            with_key,
        });
        let input = Attention {
            qkv: qkv.data(),
            heads,
            head_size,
            scale: (1.0 / (head_size as f64).sqrt()) as f32,
            sequences: &layout.sequences,
            key_rows: &layout.key_rows,
            positions: &layout.positions,
            relative,
            head_scale: head_mask,
            dropout,
        };
        let probabilities = probabilities.map(|p| (p.data_mut(), layout.length));
        self.with_scratch(|scratch| {
            attention(
                self.isa,
                &self.pool,
                input,
                context.data_mut(),
                probabilities,
                scratch,
            )
        });
    }

    fn gather_rows(&self, x: &Matrix, rows: &[u32]) -> Matrix {
        let mut out = self.buffer(rows.len(), x.cols);
        for (out, &row) in out.data_mut().chunks_exact_mut(x.cols).zip(rows) {
            out.copy_from_slice(&x.data()[row as usize * x.cols..][..x.cols]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of another length finds nothing that fits, and must not hold what the last one held besides.
    #[test]
    fn memory_in_use_counts_against_what_is_kept() {
        let shelf = Shelf {
            most: AtomicUsize::new(2 * SHELF_ELEMENTS),
            ..Shelf::default()
        };
        let kept = |shelf: &Shelf| shelf.memory.lock().expect("no panic").memory.len();
        let half = SHELF_ELEMENTS - LANES;
        for memory in [shelf.take(half), shelf.take(half)] {
            shelf.put(memory);
        }
        assert_eq!(kept(&shelf), 2, "all that may be kept");
        let longer = shelf.take(2 * half);
        assert_eq!(kept(&shelf), 1, "what is always kept");
        shelf.put(longer);
        assert_eq!(kept(&shelf), 1, "the longer one");
        assert_eq!(shelf.memory.lock().expect("no panic").used, 0);
    }
}
