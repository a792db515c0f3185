//! The recogniser of a host: whisper.cpp, where it was compiled in.

use std::sync::Arc;

use zvonar_speech::Recognizer;

use crate::commands::Failure;
use crate::config::Speech;

/// Loads the model, which takes a second or two, and starts the threads that work with it.
#[cfg(feature = "whisper")]
pub(crate) fn recogniser(speech: &Speech) -> Result<Arc<dyn Recognizer>, Failure> {
    let shelf = crate::commands::model::shelf()?;
    let settings = zvonar_speech::PoolSettings { workers: speech.workers, queue: speech.queue };
    let clock = Arc::new(zvonar_switch::clock::now);
    let Speech { model, language, .. } = speech;
    let pool = zvonar_speech::whisper::start(&shelf, model, language, settings, clock)
        .map_err(|why| format!("speech cannot be recognised: {why}"))?;
    Ok(Arc::new(pool))
}

/// There is none.
#[cfg(not(feature = "whisper"))]
pub(crate) fn recogniser(_: &Speech) -> Result<Arc<dyn Recognizer>, Failure> {
    Err("this zvonar was compiled without speech recognition: compile it with `--features whisper` (cmake and a C++ \
         compiler are needed), or take [speech] out of the configuration"
        .into())
}
