//! A component's outside: made from a core module, and looked at before it is compiled.
//!
//! Nothing here runs or compiles a guest. A look costs milliseconds, while compiling a large component takes seconds of
//! CPU, so everything that can be refused by name is refused here.

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
    let mut faults: Vec<_> =
        world.imports.keys().filter_map(|key| foreign(&resolve.name_world_key(key))).collect();
    if !world.exports.keys().any(|key| resolve.name_world_key(key) == EXPORT) {
        faults.push(ComponentFault::MissingExport(EXPORT));
    }
    faults
}

/// What is wrong with an import of this name. Within 0.1.x versions are compatible: functions are only added.
fn foreign(import: &str) -> Option<ComponentFault> {
    let named = || {
        let (package, rest) = import.split_once('/')?;
        let (interface, version) = rest.split_once('@')?;
        (package == PACKAGE && INTERFACES.contains(&interface)).then_some(version)
    };
    match named() {
        None => Some(ComponentFault::ForeignImport(import.to_owned())),
        Some(version) if version.starts_with("0.1.") => None,
        Some(_) => Some(ComponentFault::OtherVersion(import.to_owned())),
    }
}
