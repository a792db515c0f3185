//! The contract itself, as `wit/` has it: for compilers that read it, and for `zvonar new`.

use std::fs;
use std::io;
use std::path::Path;

use wit_parser::{Resolve, SourceMap, WorldId};

/// The world that a scenario implements.
pub const WORLD: &str = "scenario";

/// The files of the contract: name and text.
pub const FILES: [(&str, &str); 8] = [
    ("host.wit", include_str!("../../../../wit/host.wit")),
    ("lead.wit", include_str!("../../../../wit/lead.wit")),
    ("line.wit", include_str!("../../../../wit/line.wit")),
    ("outcome.wit", include_str!("../../../../wit/outcome.wit")),
    ("settings.wit", include_str!("../../../../wit/settings.wit")),
    ("sms.wit", include_str!("../../../../wit/sms.wit")),
    ("types.wit", include_str!("../../../../wit/types.wit")),
    ("world.wit", include_str!("../../../../wit/world.wit")),
];

/// Writes the contract into `folder`, which is created.
pub fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    FILES.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}

/// The contract, parsed, and its world.
pub(super) fn resolve() -> (Resolve, WorldId) {
    let mut sources = SourceMap::new();
    for (name, text) in FILES {
        sources.push_str(name, text);
    }
    let mut resolve = Resolve::new();
    let group = sources.parse().map_err(|(_, error)| error).expect("the contract is sound: tests parse it");
    let package = resolve.push_group(group).expect("the contract is sound: tests parse it");
    let world = resolve.select_world(&[package], Some(WORLD)).expect("the contract has its world");
    (resolve, world)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_that_is_compiled_in_is_the_one_in_wit() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, FILES.map(|(name, _)| name));
        let (resolve, world) = resolve();
        assert_eq!(resolve.worlds[world].imports.len(), 7, "six interfaces, and their types");
    }
}
