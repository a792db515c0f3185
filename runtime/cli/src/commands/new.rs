//! `zvonar new`: a scenario to begin with, that builds and passes its tests at once.
//!
//! The files are `runtime/cli/templates`: what all languages share, and a folder for each. Bindings and the contract are
//! those of this binary.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use zvonar_scenario::build::{Language, contract, javascript, python};

use super::{Failure, say};

/// What `zvonar new` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the scenario is called: 1 to 64 latin letters, digits, - and _.
    #[arg(value_parser = name)]
    name: String,
    /// The language it is written in.
    #[arg(long, value_enum)]
    lang: Lang,
    /// The folder to make; absent: one of that name here.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lang {
    Rust,
    C,
    #[value(alias = "javascript")]
    Js,
    #[value(alias = "py")]
    Python,
}

impl Lang {
    fn language(self) -> Language {
        match self {
            Self::Rust => Language::Rust,
            Self::C => Language::C,
            Self::Js => Language::JavaScript,
            Self::Python => Language::Python,
        }
    }
}

/// A file of a template, from `runtime/cli/templates`.
macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../templates/", $path))
    };
}

/// What all languages share. `{{…}}` is filled in.
const COMMON: [(&str, &str); 7] = [
    ("scenario.toml", template!("common/scenario.toml")),
    ("README.md", template!("common/README.md")),
    (".gitignore", template!("common/gitignore")),
    ("conversations/comes.yaml", template!("common/conversations/comes.yaml")),
    ("conversations/does-not-come.yaml", template!("common/conversations/does-not-come.yaml")),
    ("conversations/is-asked-again.yaml", template!("common/conversations/is-asked-again.yaml")),
    ("conversations/hangs-up.yaml", template!("common/conversations/hangs-up.yaml")),
];

/// The files of a language, and what it adds to the README.
struct Own {
    files: &'static [(&'static str, &'static str)],
    list: &'static str,
    tools: &'static str,
    edit: &'static str,
    notes: &'static str,
}

const RUST: Own = Own {
    files: &[
        ("scenario.rs", template!("rust/scenario.rs")),
        ("Cargo.toml", template!("rust/Cargo.toml")),
        ("bindings.rs", include_str!("../../../../guest-examples/rust-menu/src/bindings.rs")),
    ],
    list: template!("rust/files.md"),
    tools: template!("rust/tools.md"),
    edit: template!("rust/edit.md"),
    notes: template!("rust/notes.md"),
};

const C: Own = Own {
    files: &[
        ("scenario.c", template!("c/scenario.c")),
        ("bindings/scenario.h", include_str!("../../../../guest-examples/c-appointment/bindings/scenario.h")),
        ("bindings/scenario.c", include_str!("../../../../guest-examples/c-appointment/bindings/scenario.c")),
        ("bindings/talk.h", include_str!("../../../../guest-examples/c-appointment/bindings/talk.h")),
        ("bindings/talk.c", include_str!("../../../../guest-examples/c-appointment/bindings/talk.c")),
    ],
    list: template!("c/files.md"),
    tools: template!("c/tools.md"),
    edit: template!("c/edit.md"),
    notes: template!("c/notes.md"),
};

const JAVASCRIPT: Own = Own {
    files: &[("scenario.js", template!("js/scenario.js")), ("package.json", template!("js/package.json"))],
    list: template!("js/files.md"),
    tools: template!("js/tools.md"),
    edit: template!("js/edit.md"),
    notes: template!("js/notes.md"),
};

const PYTHON: Own = Own {
    files: &[("scenario.py", template!("python/scenario.py"))],
    list: template!("python/files.md"),
    tools: template!("python/tools.md"),
    edit: template!("python/edit.md"),
    notes: template!("python/notes.md"),
};

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { name, lang, dir } = arguments;
    let language = lang.language();
    let folder = dir.unwrap_or_else(|| name.clone().into());
    if fs::symlink_metadata(&folder).is_ok() {
        return Err(
            format!("{} is there already: choose another name, or another --dir", folder.display()).into()
        );
    }
    for (file, text) in files(&name, language) {
        write(&folder.join(file), &text)?;
    }
    say(format!(
        "{0} is a scenario in {language}. Now:\n\n    cd {0}\n    zvonar build .\n    zvonar test .\n    zvonar chat .\n\n\
         {0}/README.md leads from here to a running call.",
        folder.display()
    ))
}

/// All files of a new scenario: path below its folder, and text.
fn files(name: &str, language: Language) -> Vec<(PathBuf, String)> {
    let own = match language {
        Language::Rust => &RUST,
        Language::C => &C,
        Language::JavaScript => &JAVASCRIPT,
        Language::Python => &PYTHON,
    };
    let fill = |text: &str| {
        text.replace("{{files}}", own.list.trim_end())
            .replace("{{tools}}", own.tools.trim_end())
            .replace("{{edit}}", own.edit.trim_end())
            .replace("{{notes}}\n", own.notes)
            .replace("{{name}}", name)
            .replace("{{language}}", language.name())
            .replace("{{Language}}", &language.to_string())
            .replace("{{componentize-qjs}}", javascript::VERSION)
            .replace("{{componentize-py}}", python::VERSION)
    };
    let mut files: Vec<(PathBuf, String)> =
        COMMON.iter().chain(own.files).map(|(path, text)| (path.into(), fill(text))).collect();
    // The other two have it in their bindings.
    if matches!(language, Language::JavaScript | Language::Python) {
        files.extend(contract::FILES.map(|(name, text)| (Path::new("wit").join(name), text.to_owned())));
    }
    files
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, text));
    written.map_err(|why| format!("cannot write {}: {why}", file.display()).into())
}

fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let first = |c: char| c.is_ascii_alphanumeric();
    if (1..=64).contains(&text.len()) && text.chars().all(fits) && text.starts_with(first) {
        return Ok(text.to_owned());
    }
    Err("a scenario's name has 1 to 64 latin letters, digits, - and _, and begins with a letter or digit"
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in_and_every_manifest_is_sound() {
        for language in Language::ALL {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files("hello", language) {
                assert!(!text.contains("{{"), "{language}: {}: {text}", path.display());
                write(&folder.path().join(path), &text).unwrap();
            }
            let manifest = zvonar_scenario::Manifest::open(folder.path()).unwrap();
            assert_eq!(
                (manifest.name.as_str(), manifest.language.as_deref()),
                ("hello", Some(language.name()))
            );
        }
    }

    #[test]
    fn a_name_is_a_word_that_may_stand_in_paths_and_addresses() {
        for good in ["a", "hello", "Menu-2", "9_lives"] {
            assert!(name(good).is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in ["", "..", "a/b", "a b", "меню", "-x", "_x", &long] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
