//! A package shows all its faults at once, each with its place.

use std::fs;
use std::path::Path;

use zvonar_scenario::{Package, ResultGroup, SettingKind};

use crate::line::scenarios;

fn faults(folder: &Path) -> Vec<String> {
    let faults = Package::open(folder).expect_err("this package has faults").0;
    let prefix = format!("{}/", folder.display());
    faults.iter().map(|fault| fault.to_string().replace(&prefix, "")).collect()
}

#[test]
fn a_sound_package_says_what_it_is() {
    let package = Package::open(&scenarios().join("menu")).unwrap_or_else(|faults| panic!("\n{faults}\n"));
    let manifest = &package.manifest;
    assert_eq!(
        (&*manifest.name, &*manifest.version, &*manifest.title),
        ("menu", "0.1.0", "Запись по кнопке")
    );
    let results: Vec<_> = manifest.results.iter().map(|result| (&*result.name, result.group)).collect();
    assert_eq!(results, [("Записаться", ResultGroup::Success), ("Не интересно", ResultGroup::Refusal)]);
    assert_eq!(manifest.settings[0].kind, SettingKind::Number);
    assert_eq!(manifest.fallback.prompt.as_deref(), Some("fallback"));
    let prompts: Vec<&str> = package.prompts.keys().map(|name| &**name).collect();
    assert_eq!(prompts, ["again", "confirm", "fallback", "goodbye", "menu"]);
    assert_eq!(package.sha256.len(), 64);
}

#[test]
fn all_faults_come_at_once_each_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = r#"name = "my menu"
verison = "1"
component = "../elsewhere.wasm"
prompts = 7

[[results]]
name = "Да"
group = "good"
[[results]]
name = "Да"
[[results]]
group = "neutral"

[[settings]]
name = "times"
type = "number"
default = "often"
[[settings]]
name = "voice"
type = "choice"

[limits]
memory-mib = -1
cpu = 5

[fallback]
prompt = "sorry"
"#;
    fs::write(folder.path().join("scenario.toml"), manifest).unwrap();
    fs::create_dir(folder.path().join("prompts")).unwrap();
    fs::write(folder.path().join("prompts/hello.mp3"), "").unwrap();
    let found = faults(folder.path());
    assert_eq!(
        found,
        [
            "scenario.toml:1: `name` is 1 to 64 letters a-z A-Z, digits, `-` and `_`, not `my menu`",
            "scenario.toml:1: `version` is missing",
            "scenario.toml:2: a manifest has no key `verison`; there are `name`, `version`, `title`, `language`, `source`, `component`, `prompts`, `hours`, `operator-script`, `texts`, `results`, `settings`, `limits`, `fallback`",
            "scenario.toml:3: `component` must be a path inside the package, not `../elsewhere.wasm`",
            "scenario.toml:4: `prompts` must be a text in quotes",
            "scenario.toml:8: `group` of a result is `success`, `refusal` or `neutral`, not `good`",
            "scenario.toml:10: result `Да` is declared twice",
            "scenario.toml:11: `name` is missing",
            "scenario.toml:17: setting `times` must be a whole number, not `often`",
            "scenario.toml:18: a setting of type `choice` needs `options`, a list of texts",
            "scenario.toml:23: `memory-mib` must be a whole number from 1 to 4294967295",
            "scenario.toml:24: [limits] has no key `cpu`; there are `memory-mib`, `cpu-ms`, `call-seconds`, `host-calls`, `log-lines`, `sms`",
            "prompts/hello.mp3: a prompt is a WAV file: convert this one (`sox in.mp3 -r 8000 -c 1 out.wav`)",
        ]
    );
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scenario.toml"), "name = \"a\"\nversion = \"1\ncomponent = \"a.wasm\"\n")
        .unwrap();
    let found = faults(folder.path());
    assert!(found[0].starts_with("scenario.toml:2: "), "{found:?}");
}

#[test]
fn what_is_missing_or_not_a_component_is_told_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        faults(folder.path()),
        ["scenario.toml: the manifest of a package cannot be read: No such file or directory (os error 2)"]
    );
    let manifest = "name = \"a\"\nversion = \"1\"\ncomponent = \"a.wasm\"\n[fallback]\nprompt = \"sorry\"\n";
    fs::write(folder.path().join("scenario.toml"), manifest).unwrap();
    fs::create_dir(folder.path().join("prompts")).unwrap();
    let not_built = "a.wasm: the component is not built: run `zvonar build` on the package (in Zvonar's own source tree: `./zv guests`)";
    assert_eq!(
        faults(folder.path()),
        [format!("{}: there is no `sorry.wav`, which [fallback] names", "prompts"), not_built.to_owned(),]
    );
    fs::write(folder.path().join("prompts/sorry.wav"), "RIFF").unwrap();
    fs::write(folder.path().join("a.wasm"), wat::parse_str("(module)").unwrap()).unwrap();
    let core = "a.wasm: this is a core module, not a component: make one with `zvonar build`, or with `wasm-tools component new`";
    assert_eq!(faults(folder.path()), [core]);
}

#[test]
fn a_component_of_the_right_names_and_wrong_types_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "name = \"odd\"\nversion = \"1\"\ncomponent = \"odd.wasm\"\n";
    fs::write(folder.path().join("scenario.toml"), manifest).unwrap();
    let odd = r#"(component
        (import "zvonar:scenario/host@0.1.0" (instance $host (export "now" (func (result u32)))))
        (core module $m (func (export "run")))
        (core instance $i (instantiate $m))
        (func (export "run") (canon lift (core func $i "run"))))"#;
    fs::write(folder.path().join("odd.wasm"), wat::parse_str(odd).unwrap()).unwrap();
    let package = Package::open(folder.path()).expect("its names are right");
    let error = crate::line::engine().load(&package).unwrap_err().to_string();
    assert!(error.starts_with("scenario odd was refused: ") && error.contains("`now`"), "{error}");
}

#[test]
fn a_folder_of_compiled_code_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let config = zvonar_scenario::EngineConfig {
        max_sessions: 1,
        ..zvonar_scenario::EngineConfig::new(folder.path())
    };
    let error = zvonar_scenario::Engine::new(&config).unwrap_err().to_string();
    assert!(error.ends_with("others may write to it: `chmod go-w` it"), "{error}");
}

#[test]
fn damaged_compiled_code_is_compiled_again_and_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("compiled");
    let config =
        zvonar_scenario::EngineConfig { max_sessions: 1, ..zvonar_scenario::EngineConfig::new(&cache) };
    let package = Package::open(&scenarios().join("menu")).unwrap_or_else(|faults| panic!("\n{faults}\n"));
    let engine = zvonar_scenario::Engine::new(&config).unwrap();
    engine.load(&package).unwrap();
    let file = fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .expect("it was kept");
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    // Replaced, not changed: the engine above has the file mapped.
    fs::remove_file(&file).unwrap();
    fs::write(&file, bad).unwrap();
    engine.load(&package).unwrap();
    assert_eq!(fs::read(&file).unwrap(), good);
}
