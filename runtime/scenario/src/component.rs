//! A component's outside: made from a core module, and looked at before it is compiled.
//!
//! Nothing here runs or compiles a guest. A look costs milliseconds, while compiling a large component takes seconds of
//! CPU, so everything that can be refused by name is refused here.

use crate::contract;

/// The interfaces of the world, as `wit/` has them.
const INTERFACES: [&str; 7] = ["types", "line", "lead", "outcome", "sms", "settings", "host"];
/// The world's package.
const PACKAGE: &str = "zvonar:scenario";
/// What a component must export.
const EXPORT: &str = "run";
/// The largest component that is taken, in bytes.
pub const MAX_COMPONENT_BYTES: usize = 64 << 20;

/// Why bytes are no scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentFault {
    /// Not WebAssembly.
    #[error("this is no WebAssembly: it begins with {0}")]
    Garbage(String),
    /// The output of a compiler, not yet a component.
    #[error(
        "this is a core module, not a component: make one with `zvonar build`, or with `wasm-tools component new`"
    )]
    CoreModule,
    /// Over [`MAX_COMPONENT_BYTES`].
    #[error("the component has {0} bytes; at most {max} are taken", max = MAX_COMPONENT_BYTES)]
    TooLarge(usize),
    /// WebAssembly that does not hold together.
    #[error("the component is damaged: {0}")]
    Damaged(String),
    /// Something that the sandbox does not have.
    #[error("it imports `{0}`, which no scenario may reach")]
    ForeignImport(String),
    /// Something of the world, in a version that this host does not speak.
    #[error("it was built for `{0}`; this host speaks zvonar:scenario 0.1")]
    OtherVersion(String),
    /// No `run`.
    #[error("it does not export `{0}`, the function that is the scenario")]
    MissingExport(&'static str),
    /// Something of the world that only later hosts have.
    #[error(
        "it uses {0}, which this host does not have: it was built for a later zvonar:scenario 0.1, so update the host or build it against this host's contract"
    )]
    Newer(String),
    /// Something of the world with another type.
    #[error("{what} differs from this host's contract: the component has `{theirs}`, the host `{ours}`")]
    Changed {
        /// What, as `function line.ask`.
        what: String,
        /// As the component has it.
        theirs: String,
        /// As the contract has it.
        ours: String,
    },
    /// A core module that cannot become a component.
    #[error("no component could be made of it: {0}")]
    NotEncoded(String),
}

/// Makes a component of a core module that carries its world (as `wit-bindgen` embeds it).
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, ComponentFault> {
    let encode = || wit_component::ComponentEncoder::default().validate(true).module(core)?.encode();
    encode().map_err(|error| ComponentFault::NotEncoded(format!("{error:#}")))
}

/// Looks at a component from outside; gives every fault that can be found.
pub fn inspect(bytes: &[u8]) -> Vec<ComponentFault> {
    // The eight bytes of every WebAssembly file: `\0asm`, a version, and the layer (0: core module, 1: component).
    match bytes {
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => return vec![ComponentFault::CoreModule],
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => {}
        _ => {
            let head = &bytes[..bytes.len().min(8)];
            let shown = if head.is_empty() { "nothing at all".into() } else { format!("{head:02x?}") };
            return vec![ComponentFault::Garbage(shown)];
        }
    }
    if bytes.len() > MAX_COMPONENT_BYTES {
        return vec![ComponentFault::TooLarge(bytes.len())];
    }
    let (resolve, world) = match wit_component::decode(bytes) {
        Ok(wit_component::DecodedWasm::Component(resolve, world)) => (resolve, world),
        Ok(wit_component::DecodedWasm::WitPackage(..)) => {
            return vec![ComponentFault::Damaged("it holds only WIT, no code".into())];
        }
        Err(error) => return vec![ComponentFault::Damaged(format!("{error:#}"))],
    };
    let world = &resolve.worlds[world];
    let mut faults = Vec::new();
    for (key, item) in &world.imports {
        match known(&resolve.name_world_key(key)) {
            Ok(interface) => faults.extend(contract::differences(&resolve, interface, item)),
            Err(fault) => faults.push(fault),
        }
    }
    if !world.exports.keys().any(|key| resolve.name_world_key(key) == EXPORT) {
        faults.push(ComponentFault::MissingExport(EXPORT));
    }
    faults.extend(contract::export_differs(&resolve, world, EXPORT));
    faults
}

/// The interface of the world that an import of this name means. Within 0.1.x versions are compatible: functions are
/// only added.
fn known(import: &str) -> Result<&'static str, ComponentFault> {
    let named = || {
        let (package, rest) = import.split_once('/')?;
        let (interface, version) = rest.split_once('@')?;
        let interface =
            INTERFACES.into_iter().find(|own| *own == interface).filter(|_| package == PACKAGE)?;
        Some((interface, version))
    };
    match named() {
        None => Err(ComponentFault::ForeignImport(import.to_owned())),
        Some((interface, version)) if version.starts_with("0.1.") => Ok(interface),
        Some(_) => Err(ComponentFault::OtherVersion(import.to_owned())),
    }
}
