//! The host's side of the world, one file per WIT interface. The bindings are generated from `wit/`.

mod host;
mod lead;
mod line;
mod outcome;
mod settings;
mod sms;
pub(crate) mod types;

/// What `wasmtime`'s generator makes of `wit/`. Only the functions that wait are asynchronous: a call to the others
/// costs a tenth of a microsecond.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "scenario",
        imports: {
            "zvonar:scenario/line.play": async | trappable,
            "zvonar:scenario/line.ask": async | trappable,
            "zvonar:scenario/line.wait": async | trappable,
            "zvonar:scenario/line.record-voice": async | trappable,
            "zvonar:scenario/line.transfer": async | trappable,
            "zvonar:scenario/line.hangup": async | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

pub(crate) use bindings::zvonar::scenario as wit;
pub(crate) use bindings::{Scenario, ScenarioPre};
