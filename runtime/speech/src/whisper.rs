//! whisper.cpp as an [`Engine`]: one model in memory, one state per thread.
//!
//! The parameters were measured on thirty sentences of telephone sound (CER 2.5 %). Those that look odd:
//!
//! * `audio_ctx`: the network looks at as much of its 30 s window as there is sound, and a second. Its cost goes with it.
//! * Timestamps stay on although nobody reads them: without them and with a short window it loops on a sentence in ten.
//! * `suppress_nst` stays off, and remarks on the sound are taken out afterwards: suppressed, they become words.
//! * One thread a state: two threads cost up to three times the CPU time.
//!
//! `set_abort_callback_safe`, `set_grammar` and `set_initial_prompt` of whisper-rs 0.16 are not used: the first hands its
//! function over as another type, the second crashes, the third leaks with every call.

use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;

use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

use crate::model::{Card, ModelError, Shelf};
use crate::pool::{Clock, Engine, Pool, PoolSettings};

/// Samples a second, here and in the model.
const TELEPHONE_HZ: usize = 8000;
const MODEL_HZ: usize = 16_000;
/// Less sound than this is padded with silence: the model was never taught with less.
const LEAST_SOUND: usize = MODEL_HZ + MODEL_HZ / 10;
/// Places of the network's window a second, what is looked at besides the sound, the least, the step, and all of it.
const PLACES_PER_SECOND: usize = 50;
const PLACES_BESIDES: usize = 64;
const LEAST_PLACES: usize = 256;
const PLACES_STEP: usize = 64;
const ALL_PLACES: usize = 1500;
/// Tokens a second of sound, and besides: nobody speaks quicker, a loop does.
const TOKENS_PER_SECOND: usize = 12;
const TOKENS_BESIDES: usize = 16;

/// A pool of whisper.cpp with a model of a shelf.
///
/// # Errors
///
/// A sentence: the model is not what it should be, or does not know the language.
pub fn start(
    shelf: &Shelf,
    model: &str,
    language: &str,
    settings: PoolSettings,
    clock: Clock,
) -> Result<Pool, String> {
    let told = |error: ModelError| error.to_string();
    let card = shelf.verify(model).map_err(told)?;
    card.check_language(language).map_err(told)?;
    start_verified(&card, language, settings, clock)
}

/// The same with a model that was just verified.
///
/// # Errors
///
/// A sentence.
pub fn start_verified(
    card: &Card,
    language: &str,
    settings: PoolSettings,
    clock: Clock,
) -> Result<Pool, String> {
    if whisper_rs::get_lang_id(language).is_none() {
        return Err(format!("whisper knows no language `{language}`: they are written as ru, en, kk"));
    }
    let context = Arc::new(load(&card.file)?);
    let spoken = language.to_owned();
    Pool::start(card.id.clone(), language, settings, clock, move || Whisper::new(&context, &spoken))
}

fn load(file: &Path) -> Result<WhisperContext, String> {
    // It talks to stderr otherwise.
    whisper_rs::install_logging_hooks();
    let mut parameters = WhisperContextParameters::default();
    // Flash attention is slower on these short windows, and wrong.
    parameters.use_gpu(false).flash_attn(false);
    WhisperContext::new_with_params(file, parameters)
        .map_err(|why| format!("whisper cannot load {}: {why}", file.display()))
}

/// A state of the model, on one thread.
pub struct Whisper {
    context: Arc<WhisperContext>,
    state: WhisperState,
    parameters: FullParams<'static, 'static>,
    sound: Vec<f32>,
}

impl Whisper {
    fn new(context: &Arc<WhisperContext>, language: &str) -> Result<Self, String> {
        let state =
            context.create_state().map_err(|why| format!("whisper has no room for its state: {why}"))?;
        let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        parameters.set_n_threads(1);
        // It keeps a copy of the language for good: so it is told once, and each call has a copy of all parameters.
        let language: &'static str = Box::leak(language.to_owned().into_boxed_str());
        parameters.set_language(Some(language));
        parameters.set_translate(false);
        parameters.set_single_segment(true);
        parameters.set_no_context(true);
        parameters.set_no_timestamps(false);
        parameters.set_suppress_nst(false);
        parameters.set_temperature(0.0);
        parameters.set_temperature_inc(0.0);
        parameters.set_print_special(false);
        parameters.set_print_progress(false);
        parameters.set_print_realtime(false);
        parameters.set_print_timestamps(false);
        Ok(Self { context: Arc::clone(context), state, parameters, sound: Vec::new() })
    }
}

impl std::fmt::Debug for Whisper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whisper").finish_non_exhaustive()
    }
}

/// Called by whisper.cpp between its computations.
unsafe extern "C" fn asked(stop: *mut c_void) -> bool {
    // SAFETY: `recognise` passes a pointer to a reference that outlives the call in which this function is called.
    let stop = unsafe { *stop.cast::<&(dyn Fn() -> bool + Sync)>() };
    stop()
}

impl Engine for Whisper {
    fn recognise(
        &mut self,
        sound: &[i16],
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(String, f32), String> {
        doubled(sound, &mut self.sound);
        if self.sound.len() < LEAST_SOUND {
            self.sound.resize(LEAST_SOUND, 0.0);
        }
        let seconds = sound.len().div_ceil(TELEPHONE_HZ);
        let places = (sound.len() * PLACES_PER_SECOND / TELEPHONE_HZ + PLACES_BESIDES).max(LEAST_PLACES);
        let places = places.next_multiple_of(PLACES_STEP).min(ALL_PLACES);
        let mut parameters = self.parameters.clone();
        parameters.set_audio_ctx(places as i32);
        parameters.set_max_tokens((TOKENS_PER_SECOND * seconds + TOKENS_BESIDES) as i32);
        // SAFETY: `stop` lives until the end of this function, and the parameters are used up by `full` below.
        unsafe {
            parameters.set_abort_callback(Some(asked));
            parameters.set_abort_callback_user_data((&raw const stop).cast_mut().cast());
        }
        self.state.full(parameters, &self.sound).map_err(|why| format!("whisper: {why}"))?;

        let last_word = self.context.token_eot();
        let (mut text, mut sum, mut tokens) = (Vec::new(), 0.0_f32, 0_u32);
        for segment in self.state.as_iter() {
            text.extend_from_slice(segment.to_bytes().map_err(|why| format!("whisper: {why}"))?);
            for token in (0..segment.n_tokens()).filter_map(|n| segment.get_token(n)) {
                // Above the words come the marks of time and language.
                if token.token_id() < last_word {
                    sum += token.token_probability();
                    tokens += 1;
                }
            }
        }
        // A text that was cut at its last token may end within a letter.
        let text = String::from_utf8_lossy(&text).replace('\u{fffd}', "");
        Ok((text.trim().to_owned(), if tokens == 0 { 0.0 } else { sum / tokens as f32 }))
    }
}

/// Half of the taps between two samples; the filter is a sinc under a Hann window.
const TAPS: usize = 16;

/// Twice the sample rate: every sample, and between two what a filter says.
fn doubled(sound: &[i16], out: &mut Vec<f32>) {
    let taps: [f32; TAPS] = std::array::from_fn(|n| {
        let at = n as f32 + 0.5;
        let window = 0.5 + 0.5 * (std::f32::consts::PI * at / (TAPS as f32 + 0.5)).cos();
        window * (std::f32::consts::PI * at).sin() / (std::f32::consts::PI * at)
    });
    // A constant stays what it is.
    let whole = 2.0 * taps.iter().sum::<f32>();
    let at =
        |n: Option<usize>| n.and_then(|n| sound.get(n)).map_or(0.0, |sample| f32::from(*sample) / 32768.0);
    out.clear();
    out.reserve(2 * sound.len());
    for n in 0..sound.len() {
        out.push(at(Some(n)));
        let between: f32 =
            taps.iter().enumerate().map(|(k, tap)| tap * (at(n.checked_sub(k)) + at(Some(n + 1 + k)))).sum();
        out.push(between / whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_keeps_what_the_telephone_carries() {
        for hz in [300.0_f32, 1000.0, 3000.0] {
            let wave = |n: usize, rate: f32| (std::f32::consts::TAU * hz * n as f32 / rate).sin() * 0.5;
            let sound: Vec<i16> = (0..800).map(|n| (wave(n, 8000.0) * 32768.0) as i16).collect();
            let mut out = Vec::new();
            doubled(&sound, &mut out);
            assert_eq!(out.len(), 1600);
            for (n, sample) in out.iter().enumerate().take(1500).skip(100) {
                assert!((sample - wave(n, 16_000.0)).abs() < 0.02, "{hz} Hz at {n}: {sample}");
            }
        }
    }
}
