//! A model of CTranslate2 as a file of whisper.cpp: the same weights, in another order, with the same bits.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use serde::Deserialize;

use super::ct2::{self, Kind, Tensor};
use super::half::narrowed;
use super::{Form, mel};

/// Numbers of a block that share a scale.
const BLOCK: usize = 32;
/// Tokens before the special ones: of models for many languages, and of those for English alone.
const TOKENS: (usize, usize) = (50_257, 50_256);
/// The vocabulary of a model for many languages has at least so many.
pub(crate) const MULTILINGUAL: usize = 51_865;
/// Letters of a head.
const HEAD: usize = 64;

/// What a model is called in its file: tensors in their order.
struct Plan<'f> {
    tensors: BTreeMap<String, Tensor<'f>>,
    listed: Vec<Listed>,
}

/// A tensor on its way out.
struct Listed {
    name: String,
    shape: Vec<usize>,
    numbers: Vec<f32>,
}

#[derive(Deserialize)]
struct Tokenizer {
    model: Vocabulary,
}

#[derive(Deserialize)]
struct Vocabulary {
    vocab: HashMap<String, usize>,
}

/// Why a model could not be converted; a clause about `model.bin` or `tokenizer.json`.
#[derive(Debug)]
pub(crate) enum Fault {
    Model(String),
    Tokens(String),
    Write(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Writes the model `file` with the tokens of `tokenizer` (its JSON); `progress` is told the share that is done.
pub(crate) fn convert(
    file: &[u8],
    tokenizer: &[u8],
    form: Form,
    mut out: impl Write,
    progress: &mut dyn FnMut(f64),
) -> Result<(), Fault> {
    let model = |why: String| Fault::Model(why);
    let tokens: Tokenizer =
        serde_json::from_slice(tokenizer).map_err(|why| Fault::Tokens(format!("cannot be read: {why}")))?;
    let tensors = ct2::read(file).map_err(model)?;
    let mut plan = Plan { tensors, listed: Vec::new() };

    let layers = |side: &str| -> i32 {
        let names = plan.tensors.keys();
        let layer = |name: &String| {
            name.strip_prefix(side)?.strip_prefix("/layer_")?.split('/').next()?.parse::<i32>().ok()
        };
        names.filter_map(layer).max().map_or(0, |last| last + 1)
    };
    let (encoders, decoders) = (layers("encoder"), layers("decoder"));
    let conv = plan.shape("encoder/conv1/weight", 3).map_err(model)?;
    let (width, mels) = (conv[0], conv[1]);
    let audio = plan.shape("encoder/position_encodings/encodings", 2).map_err(model)?[0];
    let text = plan.shape("decoder/position_encodings/encodings", 2).map_err(model)?[0];
    let vocabulary = plan.shape("decoder/embeddings/weight", 2).map_err(model)?[0];
    if encoders == 0 || decoders == 0 || width == 0 || width % HEAD != 0 {
        return Err(model(format!("has {encoders} and {decoders} layers of {width}: that is no Whisper")));
    }

    let head = [
        super::ggml::MAGIC,
        int(vocabulary),
        int(audio),
        int(width),
        int(width / HEAD),
        encoders,
        int(text),
        int(width),
        int(width / HEAD),
        decoders,
        int(mels),
        form.file_type(),
    ];
    ints(&mut out, &head)?;
    ints(&mut out, &[int(mels), int(mel::BINS)])?;
    floats(&mut out, &mel::filters(mels))?;
    write_tokens(&mut out, vocabulary, &tokens.model.vocab)?;
    plan.list(encoders, decoders).map_err(model)?;
    let count = plan.listed.len();
    for (n, tensor) in plan.listed.into_iter().enumerate() {
        write_tensor(&mut out, tensor, form).map_err(|fault| match fault {
            Ok(why) => Fault::Model(why),
            Err(error) => Fault::Write(error),
        })?;
        progress((n + 1) as f64 / count as f64);
    }
    out.flush()?;
    Ok(())
}

fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn ints(out: &mut impl Write, numbers: &[i32]) -> io::Result<()> {
    numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))
}

fn floats(out: &mut impl Write, numbers: &[f32]) -> io::Result<()> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    out.write_all(&bytes)
}

/// Tokens as bytes. The tokenizer writes bytes as letters: printable ones as themselves, the others from 256 on.
fn write_tokens(
    out: &mut impl Write,
    vocabulary: usize,
    known: &HashMap<String, usize>,
) -> Result<(), Fault> {
    let mut bytes: HashMap<char, u8> = HashMap::new();
    let mut beyond = 256;
    for byte in 0..=255u8 {
        if matches!(byte, 33..=126 | 161..=172 | 174..=255) {
            bytes.insert(char::from(byte), byte);
        } else {
            bytes.insert(char::from_u32(beyond).expect("a letter"), byte);
            beyond += 1;
        }
    }
    let count = if vocabulary >= MULTILINGUAL { TOKENS.0 } else { TOKENS.1 };
    let mut tokens: Vec<Option<&str>> = vec![None; count];
    for (token, id) in known {
        if let Some(place) = tokens.get_mut(*id) {
            *place = Some(token);
        }
    }
    ints(out, &[int(count)])?;
    for token in tokens {
        let token = token.filter(|token| !token.starts_with("<|")).unwrap_or("");
        let token: Option<Vec<u8>> = token.chars().map(|c| bytes.get(&c).copied()).collect();
        let token = token.ok_or_else(|| Fault::Tokens("has a token that is no text of bytes".into()))?;
        ints(out, &[int(token.len())])?;
        out.write_all(&token)?;
    }
    Ok(())
}

impl Plan<'_> {
    fn shape(&self, name: &str, rank: usize) -> Result<Vec<usize>, String> {
        let tensor = self.tensors.get(name).ok_or_else(|| format!("has no {name}"))?;
        if tensor.shape.len() == rank {
            Ok(tensor.shape.clone())
        } else {
            Err(format!("has a {name} of shape {:?}", tensor.shape))
        }
    }

    /// A tensor; whole numbers are scaled to what they stand for.
    fn get(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
        let tensor = self.tensors.get(name).ok_or_else(|| format!("has no {name}"))?;
        let mut numbers = tensor.numbers();
        if tensor.kind == Kind::I8 {
            let scales = self
                .tensors
                .get(&format!("{name}_scale"))
                .ok_or_else(|| format!("has no scales of {name}"))?;
            let scales = scales.numbers();
            let row = tensor.shape.last().copied().unwrap_or(1);
            if row == 0 || scales.len() * row != numbers.len() {
                return Err(format!("has {} scales of {name}", scales.len()));
            }
            for (row, scale) in numbers.chunks_mut(row).zip(scales) {
                row.iter_mut().for_each(|number| *number /= scale);
            }
        }
        Ok((tensor.shape.clone(), numbers))
    }

    fn add(&mut self, name: &str, (shape, numbers): (Vec<usize>, Vec<f32>)) {
        self.listed.push(Listed { name: name.into(), shape, numbers });
    }

    fn copy(&mut self, to: &str, from: &str) -> Result<(), String> {
        let tensor = self.get(from)?;
        self.add(to, tensor);
        Ok(())
    }

    fn norm(&mut self, to: &str, from: &str) -> Result<(), String> {
        self.copy(&format!("{to}.weight"), &format!("{from}/gamma"))?;
        self.copy(&format!("{to}.bias"), &format!("{from}/beta"))
    }

    fn linear(&mut self, to: &str, from: &str) -> Result<(), String> {
        self.copy(&format!("{to}.weight"), &format!("{from}/weight"))?;
        self.copy(&format!("{to}.bias"), &format!("{from}/bias"))
    }

    /// Splits what CTranslate2 keeps as one matrix into `parts` of equal height: queries, keys, values.
    fn split(&mut self, from: &str, parts: &[&str], to: &str) -> Result<(), String> {
        let (shape, weight) = self.get(&format!("{from}/weight"))?;
        let (_, bias) = self.get(&format!("{from}/bias"))?;
        if shape.len() != 2 || shape[0] % parts.len() != 0 || bias.len() != shape[0] {
            return Err(format!("has a {from} of shape {shape:?}"));
        }
        let rows = shape[0] / parts.len();
        for (n, part) in parts.iter().enumerate() {
            let weight = weight[n * rows * shape[1]..(n + 1) * rows * shape[1]].to_vec();
            let bias = bias[n * rows..(n + 1) * rows].to_vec();
            self.add(&format!("{to}.{part}.weight"), (vec![rows, shape[1]], weight));
            // Whisper's keys have no bias, and whisper.cpp reads none.
            if *part != "key" {
                self.add(&format!("{to}.{part}.bias"), (vec![rows], bias));
            } else if bias.iter().any(|number| *number != 0.0) {
                return Err(format!("has keys with a bias in {from}: that is no Whisper"));
            }
        }
        Ok(())
    }

    fn list(&mut self, encoders: i32, decoders: i32) -> Result<(), String> {
        self.copy("encoder.positional_embedding", "encoder/position_encodings/encodings")?;
        for conv in ["conv1", "conv2"] {
            self.copy(&format!("encoder.{conv}.weight"), &format!("encoder/{conv}/weight"))?;
            let (shape, bias) = self.get(&format!("encoder/{conv}/bias"))?;
            self.add(&format!("encoder.{conv}.bias"), (vec![shape.iter().product(), 1], bias));
        }
        for n in 0..encoders {
            let (from, to) = (format!("encoder/layer_{n}"), format!("encoder.blocks.{n}"));
            self.attention(&from, &to)?;
            self.forward(&from, &to)?;
        }
        self.norm("encoder.ln_post", "encoder/layer_norm")?;
        self.copy("decoder.positional_embedding", "decoder/position_encodings/encodings")?;
        self.copy("decoder.token_embedding.weight", "decoder/embeddings/weight")?;
        for n in 0..decoders {
            let (from, to) = (format!("decoder/layer_{n}"), format!("decoder.blocks.{n}"));
            self.attention(&from, &to)?;
            self.linear(&format!("{to}.cross_attn.query"), &format!("{from}/attention/linear_0"))?;
            self.split(
                &format!("{from}/attention/linear_1"),
                &["key", "value"],
                &format!("{to}.cross_attn"),
            )?;
            self.linear(&format!("{to}.cross_attn.out"), &format!("{from}/attention/linear_2"))?;
            self.norm(&format!("{to}.cross_attn_ln"), &format!("{from}/attention/layer_norm"))?;
            self.forward(&from, &to)?;
        }
        self.norm("decoder.ln", "decoder/layer_norm")
    }

    fn attention(&mut self, from: &str, to: &str) -> Result<(), String> {
        let own = format!("{from}/self_attention");
        self.split(&format!("{own}/linear_0"), &["query", "key", "value"], &format!("{to}.attn"))?;
        self.linear(&format!("{to}.attn.out"), &format!("{own}/linear_1"))?;
        self.norm(&format!("{to}.attn_ln"), &format!("{own}/layer_norm"))
    }

    fn forward(&mut self, from: &str, to: &str) -> Result<(), String> {
        self.linear(&format!("{to}.mlp.0"), &format!("{from}/ffn/linear_0"))?;
        self.linear(&format!("{to}.mlp.2"), &format!("{from}/ffn/linear_1"))?;
        self.norm(&format!("{to}.mlp_ln"), &format!("{from}/ffn/layer_norm"))
    }
}

/// Writes one tensor. An `Ok` inside the error is a fault of the model.
fn write_tensor(out: &mut impl Write, tensor: Listed, form: Form) -> Result<(), Result<String, io::Error>> {
    let Listed { name, shape, numbers } = tensor;
    // What is small or added to everything stays exact.
    let exact = shape.len() == 1
        || name.ends_with("positional_embedding")
        || matches!(name.as_str(), "encoder.conv1.bias" | "encoder.conv2.bias");
    let (kind, bytes) = if exact {
        (0, numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
    } else if form == Form::Q8 && shape.len() == 2 {
        if shape[1] % BLOCK != 0 {
            return Err(Ok(format!(
                "has rows of {} in {name}, which do not divide into blocks of 32",
                shape[1]
            )));
        }
        (8, q8_0(&numbers))
    } else {
        (1, numbers.iter().flat_map(|number| narrowed(*number).to_le_bytes()).collect())
    };
    ints(out, &[int(shape.len()), int(name.len()), kind]).map_err(Err)?;
    let sides: Vec<i32> = shape.iter().rev().map(|side| int(*side)).collect();
    ints(out, &sides).map_err(Err)?;
    out.write_all(name.as_bytes()).map_err(Err)?;
    out.write_all(&bytes).map_err(Err)
}

/// Blocks of 32 whole numbers with a scale of 16 bits before them.
fn q8_0(numbers: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(numbers.len() / BLOCK * (BLOCK + 2));
    for block in numbers.chunks_exact(BLOCK) {
        let largest = block.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
        let scale = largest / 127.0;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        bytes.extend(narrowed(scale).to_le_bytes());
        bytes.extend(block.iter().map(|number| {
            let scaled = number * inverse;
            (scaled + 0.5_f32.copysign(scaled)).trunc() as i8 as u8
        }));
    }
    bytes
}
