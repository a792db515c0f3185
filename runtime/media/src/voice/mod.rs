//! Is this frame somebody's voice? Silero's network for 8 kHz, worked out by hand.
//!
//! Energy cannot tell a voice from music or a street, and whoever takes noise for an answer charges for it. This network
//! can: it stays below 0.15 on noise, tones and keys, and is above 0.9 within words.
//!
//! The weights are those of Silero VAD 6.2 (© Silero Team, MIT; `voice/README.md`). The network sees 256 samples and the 32
//! before them; a short Fourier transform of four columns, four convolutions, one LSTM cell, one neuron. It runs
//! on numbers of 32 bits like the original and agrees with it to 10⁻⁵, without a runtime for networks.

use std::sync::LazyLock;

/// Samples that one decision is made over: 32 ms.
pub const BLOCK: usize = 256;
/// Samples of the block before that are looked at again.
const BEFORE: usize = 32;
/// Samples mirrored behind the block, so that its last ones get a whole window.
const MIRRORED: usize = 32;
/// The transform: its window, its step, its frequencies, how many windows a block has.
const WINDOW: usize = 128;
const HOP: usize = 64;
const BINS: usize = 65;
const COLUMNS: usize = (BEFORE + BLOCK + MIRRORED - WINDOW) / HOP + 1;
/// What the LSTM remembers.
const CELLS: usize = 128;

static WEIGHTS: LazyLock<Weights> = LazyLock::new(Weights::new);

/// A layer: a row of `inputs` weights per output, then their biases.
struct Layer {
    weights: Box<[f32]>,
    bias: Box<[f32]>,
}

struct Weights {
    /// Cosines, then sines, each under its window.
    transform: Box<[f32]>,
    convolutions: [Layer; 4],
    lstm_input: Box<[f32]>,
    lstm_memory: Box<[f32]>,
    /// Both biases of the original, which are only ever added.
    lstm_bias: Box<[f32]>,
    last: Layer,
}

impl Weights {
    fn new() -> Self {
        let bytes = include_bytes!("silero-8k.f32");
        let mut rest =
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes")));
        let mut take = |count: usize| -> Box<[f32]> { rest.by_ref().take(count).collect() };
        let transform = take(2 * BINS * WINDOW);
        let mut layer =
            |outputs: usize, inputs: usize| Layer { weights: take(outputs * inputs), bias: take(outputs) };
        let convolutions = [layer(128, 3 * BINS), layer(64, 3 * 128), layer(64, 3 * 64), layer(128, 3 * 64)];
        let (lstm_input, lstm_memory) = (take(4 * CELLS * CELLS), take(4 * CELLS * CELLS));
        let (input_bias, memory_bias) = (take(4 * CELLS), take(4 * CELLS));
        let lstm_bias = input_bias.iter().zip(&memory_bias).map(|(a, b)| a + b).collect();
        let last = Layer { weights: take(CELLS), bias: take(1) };
        assert!(last.bias.len() == 1 && rest.next().is_none(), "the weights are as many as the network has");
        Self { transform, convolutions, lstm_input, lstm_memory, lstm_bias, last }
    }
}

/// The network of one call. Feed it every block, in order.
#[derive(Clone)]
pub struct VoiceDetector {
    /// The end of the block before, the block, and its mirrored end.
    sound: [f32; BEFORE + BLOCK + MIRRORED],
    hidden: [f32; CELLS],
    cell: [f32; CELLS],
}

impl VoiceDetector {
    /// One that has heard nothing. The first ever made reads the weights, a millisecond.
    pub fn new() -> Self {
        LazyLock::force(&WEIGHTS);
        Self { sound: [0.0; _], hidden: [0.0; CELLS], cell: [0.0; CELLS] }
    }

    /// Takes the next block; says how sure it is that this is a voice, 0 to 1.
    pub fn handle(&mut self, block: &[i16; BLOCK]) -> f32 {
        let weights = &*WEIGHTS;
        self.sound.copy_within(BLOCK..BLOCK + BEFORE, 0);
        for (to, sample) in self.sound[BEFORE..].iter_mut().zip(block) {
            *to = f32::from(*sample) / 32768.0;
        }
        for n in 0..MIRRORED {
            self.sound[BEFORE + BLOCK + n] = self.sound[BEFORE + BLOCK - 2 - n];
        }

        let mut magnitudes = [0.0; BINS * COLUMNS];
        for column in 0..COLUMNS {
            let window = &self.sound[column * HOP..column * HOP + WINDOW];
            for bin in 0..BINS {
                let real = dot(&weights.transform[bin * WINDOW..][..WINDOW], window);
                let imaginary = dot(&weights.transform[(BINS + bin) * WINDOW..][..WINDOW], window);
                magnitudes[bin * COLUMNS + column] = (real * real + imaginary * imaginary).sqrt();
            }
        }
        let [first, second, third, fourth] = &weights.convolutions;
        let first =
            convolve::<BINS, COLUMNS, { 3 * BINS }, 128, COLUMNS, { 128 * COLUMNS }>(&magnitudes, first, 1);
        let second = convolve::<128, COLUMNS, { 3 * 128 }, 64, 2, 128>(&first, second, 2);
        let third = convolve::<64, 2, { 3 * 64 }, 64, 1, 64>(&second, third, 2);
        let fourth = convolve::<64, 1, { 3 * 64 }, 128, 1, 128>(&third, fourth, 1);

        let mut gates = [0.0; 4 * CELLS];
        for (n, gate) in gates.iter_mut().enumerate() {
            *gate = weights.lstm_bias[n]
                + dot(&weights.lstm_input[n * CELLS..][..CELLS], &fourth)
                + dot(&weights.lstm_memory[n * CELLS..][..CELLS], &self.hidden);
        }
        for n in 0..CELLS {
            let (input, forget) = (sigmoid(gates[n]), sigmoid(gates[CELLS + n]));
            let (fresh, output) = (gates[2 * CELLS + n].tanh(), sigmoid(gates[3 * CELLS + n]));
            self.cell[n] = forget * self.cell[n] + input * fresh;
            self.hidden[n] = output * self.cell[n].tanh();
        }
        let sum: f32 = self.hidden.iter().zip(&weights.last.weights).map(|(h, w)| h.max(0.0) * w).sum();
        sigmoid(sum + weights.last.bias[0])
    }
}

impl Default for VoiceDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for VoiceDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoiceDetector").finish_non_exhaustive()
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Eight sums side by side: one after the other would wait for each addition.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        for n in 0..8 {
            sums[n] += a[n] * b[n];
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// A convolution of width 3 over `LEN` columns with a zero beyond each end, and ReLU. Rows of `input` are channels.
fn convolve<
    const IN: usize,
    const LEN: usize,
    const TAPS: usize,
    const OUT: usize,
    const OUT_LEN: usize,
    const SIZE: usize,
>(
    input: &[f32],
    layer: &Layer,
    stride: usize,
) -> [f32; SIZE] {
    let mut output = [0.0; SIZE];
    let mut taps = [0.0; TAPS];
    for column in 0..OUT_LEN {
        for channel in 0..IN {
            for tap in 0..3 {
                let at = (column * stride + tap).checked_sub(1).filter(|at| *at < LEN);
                taps[channel * 3 + tap] = at.map_or(0.0, |at| input[channel * LEN + at]);
            }
        }
        for out in 0..OUT {
            let sum = layer.bias[out] + dot(&layer.weights[out * TAPS..][..TAPS], &taps);
            output[out * OUT_LEN + column] = sum.max(0.0);
        }
    }
    output
}

#[cfg(test)]
mod tests;
