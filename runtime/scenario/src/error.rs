//! What keeps a scenario from being loaded. What ends a running one is a [`crate::Fault`].

use std::path::PathBuf;

use crate::PackageFaults;
use crate::compiler::CompilerError;

/// Why there is no engine or no module.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The package's files are at fault; each fault has its sentence.
    #[error(transparent)]
    Package(#[from] PackageFaults),
    /// The component passed the look at its names, but not the sandbox's compiler or linker.
    #[error("scenario {name} was refused: {why}")]
    Refused {
        /// The manifest's name.
        name: String,
        /// What is wrong, by name.
        why: String,
    },
    /// The compiler gave no code: a limit was spent, or something on our side failed.
    #[error("scenario {name} could not be compiled: {source}")]
    NotCompiled {
        /// The manifest's name.
        name: String,
        /// Why.
        #[source]
        source: CompilerError,
    },
    /// More memories, tables or initial memory than one session may have.
    #[error("scenario {name} needs {what}; this host gives {allowed}")]
    TooBig {
        /// The manifest's name.
        name: String,
        /// What it asks for.
        what: String,
        /// What there is.
        allowed: String,
    },
    /// The folder of compiled scenarios cannot be used.
    #[error("the folder of compiled scenarios {folder} cannot be used: {why}")]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// A sentence.
        why: String,
    },
    /// The machine cannot hold a sandbox.
    #[error("the sandbox could not be set up: {0}")]
    Engine(String),
}
