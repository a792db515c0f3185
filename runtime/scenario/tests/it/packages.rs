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
fn a_package_says_whether_it_listens_and_a_host_that_cannot_hear_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("prompts")).unwrap();
    fs::copy(scenarios().join("menu/menu.wasm"), folder.path().join("x.wasm")).unwrap();
    let write = |more: &str| {
        let manifest = format!("name = \"x\"\nversion = \"1\"\ncomponent = \"x.wasm\"\n{more}");
        fs::write(folder.path().join("scenario.toml"), manifest).unwrap();
    };
    for (more, hears, refused) in [
        ("", None, ""),
        ("speech = \"ru\"", Some("ru"), ""),
        ("speech = \"ru\"", Some("en"), "[speech] has `language = \"ru\"`"),
        ("speech = \"ru\"", None, "`zvonar model fetch base`"),
        ("speech = \"ru\"\nspeech-needed = false", None, ""),
    ] {
        write(more);
        let package = Package::open(folder.path()).unwrap_or_else(|faults| panic!("\n{faults}\n"));
        let told = package.manifest.check_speech(hears).err().unwrap_or_default();
        assert!(told.contains(refused) && told.is_empty() == refused.is_empty(), "{more} {hears:?}: {told}");
    }
    for (more, fault) in [
        (
            "speech = \"Russian\"",
            "scenario.toml:4: `speech` is a language of two letters as `ru` or `en`, not `Russian`",
        ),
        (
            "speech-needed = true",
            "scenario.toml:4: `speech-needed` says nothing without `speech`, the language of the answers",
        ),
        ("speech = \"ru\"\nspeech-needed = 1", "scenario.toml:5: `speech-needed` must be true or false"),
    ] {
        write(more);
        assert_eq!(faults(folder.path()), [fault]);
    }
}

#[test]
fn all_faults_come_at_once_each_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = r#"name = "my menu"
zzz = 1
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
            "scenario.toml:2: a manifest has no key `zzz`; there are `name`, `version`, `title`, `language`, `source`, `component`, `prompts`, `speech`, `speech-needed`, `hours`, `operator-script`, `texts`, `results`, `settings`, `limits`, `fallback`",
            "scenario.toml:3: a manifest has no key `verison`, do you mean `version`?",
            "scenario.toml:4: `component` must be a path inside the package, not `../elsewhere.wasm`",
            "scenario.toml:5: `prompts` must be a text in quotes",
            "scenario.toml:9: `group` of a result is `success`, `refusal` or `neutral`, not `good`",
            "scenario.toml:11: result `Да` is declared twice",
            "scenario.toml:12: `name` is missing",
            "scenario.toml:18: setting `times` must be a whole number, not `often`",
            "scenario.toml:19: a setting of type `choice` needs `options`, a list of texts",
            "scenario.toml:24: `memory-mib` must be a whole number from 1 to 4294967295",
            "scenario.toml:25: [limits] has no key `cpu`, do you mean `cpu-ms`?",
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
    let gsm = b"RIFF\0\0\0\0WAVEfmt \x14\0\0\0\x31\0\x01\0\x40\x1f\0\0\0\0\0\0\x41\0\0\0\x02\0\x40\x01";
    fs::write(folder.path().join("prompts/sorry.wav"), gsm).unwrap();
    let coded = "prompts/sorry.wav: this prompt is coded as GSM 6.10, which is not played: convert it (`sox in.wav -r 8000 -c 1 -b 16 -e signed out.wav`)";
    assert_eq!(faults(folder.path()), [coded, not_built]);
    let mut pcm = gsm.to_vec();
    pcm[20] = 1;
    fs::write(folder.path().join("prompts/sorry.wav"), pcm).unwrap();
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
    assert_eq!(
        faults(folder.path()),
        [
            "odd.wasm: function host.now differs from this host's contract: the component has `func() -> u32`, the host `func() -> string`",
            "odd.wasm: function run differs from this host's contract: the component has `func()`, the host `func() -> result<_, string>`",
        ]
    );
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

/// What the cache holds, by the beginning of the component's hash.
fn kept(cache: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".cwasm"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn of_compiled_code_what_was_not_used_for_longest_goes_first_and_its_calls_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("compiled");
    let open = |bytes| {
        let config = zvonar_scenario::EngineConfig {
            max_sessions: 8,
            cache_bytes: bytes,
            ..zvonar_scenario::EngineConfig::new(&cache)
        };
        zvonar_scenario::Engine::new(&config).unwrap()
    };
    let package =
        |name: &str| Package::open(&scenarios().join(name)).unwrap_or_else(|faults| panic!("\n{faults}\n"));
    let (menu, bench, naughty) = (package("menu"), package("bench"), package("naughty"));
    let large = open(1 << 30);
    large.load(&menu).unwrap();
    let running = large.load(&bench).unwrap();
    assert_eq!(kept(&cache).len(), 2);
    let size = |package: &Package| {
        let name = kept(&cache).into_iter().find(|name| name.starts_with(&package.sha256)).unwrap();
        fs::metadata(cache.join(name)).unwrap().len()
    };
    // Room for one more byte than the two that are there, so that a third one drives one of them out.
    let small = open(size(&menu) + size(&bench) + 1);
    // Files' times are as fine as the kernel's ticks.
    std::thread::sleep(std::time::Duration::from_millis(20));
    small.load(&menu).unwrap();
    small.load(&naughty).unwrap();
    let left = kept(&cache);
    assert!(
        left.iter().any(|name| name.starts_with(&naughty.sha256)),
        "what was compiled last stays: {left:?}"
    );
    assert!(!left.iter().any(|name| name.starts_with(&bench.sha256)), "{left:?}");
    // Its file is gone, its code is not.
    let line = crate::line::PretendLine::new(&[(500, crate::line::Caller::Presses('1'))]);
    let end = crate::line::talk(&running, &[], &line).await;
    assert_eq!(end.result.as_deref(), Some("Нажал 1"));
}

#[test]
fn what_a_killed_process_left_half_made_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("compiled");
    let config =
        zvonar_scenario::EngineConfig { max_sessions: 1, ..zvonar_scenario::EngineConfig::new(&cache) };
    drop(zvonar_scenario::Engine::new(&config).unwrap());
    // Numbers of processes end far below this one.
    fs::write(cache.join("abc.cwasm.4294967295.7.part"), "half").unwrap();
    let own = format!("abc.cwasm.{}.7.part", std::process::id());
    fs::write(cache.join(&own), "being made").unwrap();
    drop(zvonar_scenario::Engine::new(&config).unwrap());
    let left: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [own.as_str()]);
}

#[test]
fn a_scenario_that_begins_with_more_than_it_asks_for_is_refused_when_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let guest = r#"(component
        (core module $m
            (func (export "run") (result i32) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (memory (export "memory") 320))
        (core instance $i (instantiate $m))
        (type $result (result (error string)))
        (func (export "run") (result $result)
            (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#;
    fs::write(folder.path().join("large.wasm"), wat::parse_str(guest).unwrap()).unwrap();
    let load = |limits: &str| {
        let manifest = format!("name = \"large\"\nversion = \"1\"\ncomponent = \"large.wasm\"\n{limits}");
        fs::write(folder.path().join("scenario.toml"), manifest).unwrap();
        crate::line::engine().load(&Package::open(folder.path()).unwrap())
    };
    let told = load("[limits]\nmemory-mib = 16\n").unwrap_err().to_string();
    let words = "scenario large needs 20 MiB of memory to begin with; this host gives the 16 MiB that `memory-mib` of its manifest asks for";
    assert_eq!(told, words);
    // 20 MiB, twice that when nothing is asked for, and what is asked for up to what is granted.
    let granted = zvonar_scenario::Limits::default();
    let mib = |limits: &str| load(limits).unwrap().limits(granted).memory_bytes >> 20;
    assert_eq!(
        (mib(""), mib("[limits]\nmemory-mib = 24\n"), mib("[limits]\nmemory-mib = 999\n")),
        (40, 24, 64)
    );
}

#[test]
fn a_scenario_that_cannot_start_is_refused_when_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let guest = r#"(component
        (core module $m
            (func $start unreachable)
            (start $start)
            (func (export "run") (result i32) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (memory (export "memory") 1))
        (core instance $i (instantiate $m))
        (type $result (result (error string)))
        (func (export "run") (result $result)
            (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#;
    fs::write(folder.path().join("stuck.wasm"), wat::parse_str(guest).unwrap()).unwrap();
    let manifest = "name = \"stuck\"\nversion = \"1\"\ncomponent = \"stuck.wasm\"\n";
    fs::write(folder.path().join("scenario.toml"), manifest).unwrap();
    let told = crate::line::engine().load(&Package::open(folder.path()).unwrap()).unwrap_err().to_string();
    assert!(
        told.starts_with("scenario stuck was refused: it does not start: the scenario trapped: "),
        "{told}"
    );
}

/// A component of so many memories and core instances, as toolchains with an interpreter make them.
fn shaped(memories: usize, instances: usize) -> String {
    let modules: String = (0..instances)
        .map(|n| {
            let memory = if n < memories { r#"(memory (export "memory") 1)"# } else { "" };
            format!("(core module $m{n} {memory} (func (export \"run\") (result i32) i32.const 0)\n(func (export \"realloc\") (param i32 i32 i32 i32) (result i32) unreachable))\n(core instance $i{n} (instantiate $m{n}))\n")
        })
        .collect();
    format!(
        r#"(component {modules}
            (type $result (result (error string)))
            (func (export "run") (result $result)
                (canon lift (core func $i0 "run") (memory (core memory $i0 "memory")) (realloc (core func $i0 "realloc")))))"#
    )
}

#[tokio::test]
async fn a_component_takes_as_many_seats_as_it_has_memories_and_one_of_another_shape_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("scenario.toml"),
        "name = \"shaped\"\nversion = \"1\"\ncomponent = \"shaped.wasm\"\n",
    )
    .unwrap();
    let load = |memories, instances| {
        let bytes = wat::parse_str(shaped(memories, instances)).unwrap();
        fs::write(folder.path().join("shaped.wasm"), bytes).unwrap();
        let package = Package::open(folder.path()).unwrap_or_else(|faults| panic!("\n{faults}\n"));
        crate::line::engine().load(&package).map_err(|error| error.to_string())
    };
    // QuickJS comes as 3 memories in 16 instances, Python as 1 in 38.
    for (memories, instances) in [(3, 16), (1, 38), (4, 64)] {
        let module = load(memories, instances).unwrap();
        assert_eq!(module.seats(), memories as u32, "{instances} instances");
        assert_eq!(module.initial_memory(), memories as u64 * 65_536);
        let line = crate::line::PretendLine::new(&[]);
        let end = crate::line::talk(&module, &[], &line).await;
        assert_eq!(end.ending, zvonar_scenario::Ending::Returned);
    }
    for (memories, instances, words) in
        [(5, 16, "5 Wasm linear memories"), (1, 65, "65 core module instances")]
    {
        let told = load(memories, instances).unwrap_err();
        assert!(told.starts_with("scenario shaped was refused: ") && told.contains(words), "{told}");
    }
}
