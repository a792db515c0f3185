//! Whether a conversation fits its package: every name that it uses is one that the package has.

use std::path::Path;

use zvonar_ledger::PriceList;
use zvonar_model::SystemResult;
use zvonar_scenario::{Package, PackageFault};

use super::read::near;
use super::{At, Conversation};
use crate::script::{Expected, Step};

/// The results that the system sets on calls that were answered.
const OF_THE_SYSTEM: [SystemResult; 10] = [
    SystemResult::SystemError,
    SystemResult::Machine,
    SystemResult::NothingPlayed,
    SystemResult::NotHeardOut,
    SystemResult::Lost,
    SystemResult::OperatorNoAnswer,
    SystemResult::OperatorBusy,
    SystemResult::OperatorDeclined,
    SystemResult::Connected,
    SystemResult::NoResult,
];

impl Conversation {
    /// Fills the settings in, reads the tariff, and compares every name with the package. The faults have the file and its
    /// lines.
    pub fn fits(&mut self, package: &Package) -> Vec<PackageFault> {
        let manifest = &package.manifest;
        let mut faults = Vec::new();
        let mut fault = |line: usize, what: String| {
            faults.push(PackageFault { file: self.file.clone(), line: Some(line), what });
        };
        match manifest.fill_settings(&self.settings.value) {
            Ok(settings) => self.setup.settings = settings,
            Err(wrong) => wrong.into_iter().for_each(|why| {
                let names = manifest.settings.iter().map(|setting| setting.name.as_str());
                let unknown =
                    self.settings.value.keys().find(|name| why.ends_with(&format!("no setting `{name}`")));
                fault(self.settings.line, why + &meant(unknown.and_then(|name| near(name, names))));
            }),
        }
        let declared = || manifest.results.iter().map(|result| result.name.as_str());
        if let Some(At { line, value }) = &self.expect.result {
            let known = || declared().chain(OF_THE_SYSTEM.map(SystemResult::title));
            if !known().any(|name| name == value) {
                let names: Vec<&str> = declared().collect();
                let hint = match near(value, known()) {
                    Some(near) => meant(Some(near)),
                    None => format!("; it declares `{}`", names.join("`, `")),
                };
                fault(
                    *line,
                    format!("the manifest declares no result `{value}`, nor does the system set it{hint}"),
                );
            }
        }
        let clips = || package.prompts.keys().chain(manifest.texts.keys()).map(|name| &**name);
        for (line, step) in &self.talk {
            match step {
                Step::Hears(Expected::Clips(names)) => {
                    for name in names.iter().filter(|name| !clips().any(|clip| clip == **name)) {
                        fault(
                            *line,
                            format!("the package has no prompt `{name}`{}", meant(near(name, clips()))),
                        );
                    }
                }
                Step::Hears(Expected::Words(words)) if manifest.texts.is_empty() => fault(
                    *line,
                    format!(
                        "`{words}` is compared with the texts of prompts, and scenario.toml has no [texts]"
                    ),
                ),
                _ => {}
            }
        }
        if let Some(At { line, value }) = &self.tariff {
            match read_prices(&package.folder.join(value)) {
                Ok(prices) => self.prices = Some(prices),
                Err(why) => fault(*line, format!("the tariff {}: {why}", value.display())),
            }
        }
        faults
    }
}

fn read_prices(file: &Path) -> Result<PriceList, String> {
    let text = std::fs::read_to_string(file).map_err(|why| format!("it cannot be read: {why}"))?;
    PriceList::from_toml(&text).map_err(|why| why.to_string())
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!(", do you mean `{near}`?")).unwrap_or_default()
}
