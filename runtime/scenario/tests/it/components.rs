//! What is no scenario is refused before it is compiled, in words.

use zvonar_scenario::component::{ComponentFault, componentize, inspect};

use crate::line::scenarios;

fn told(bytes: &[u8]) -> Vec<String> {
    inspect(bytes).iter().map(ToString::to_string).collect()
}

fn component(wat: &str) -> Vec<String> {
    told(&wat::parse_str(wat).expect("the test's own text"))
}

#[test]
fn garbage_and_core_modules_are_refused_by_their_first_bytes() {
    assert_eq!(told(b""), ["this is no WebAssembly: it begins with nothing at all"]);
    assert_eq!(
        told(b"\x7fELF\x02\x01\x01\0more"),
        ["this is no WebAssembly: it begins with [7f, 45, 4c, 46, 02, 01, 01, 00]"]
    );
    assert_eq!(component("(module)"), [ComponentFault::CoreModule.to_string()]);
    let damaged = told(b"\0asm\x0d\0\x01\0\xff\xff\xff");
    assert!(damaged.len() == 1 && damaged[0].starts_with("the component is damaged: "), "{damaged:?}");
}

#[test]
fn every_import_outside_the_world_is_named() {
    let found = component(
        r#"(component
            (import "wasi:cli/exit@0.2.0" (instance))
            (import "zvonar:scenario/line@0.2.0" (instance))
            (import "zvonar:scenario/files@0.1.0" (instance))
            (import "zvonar:scenario/host@0.1.7" (instance))
            (import "steal" (func)))"#,
    );
    assert_eq!(
        found,
        [
            "it imports `wasi:cli/exit@0.2.0`, which no scenario may reach",
            "it was built for `zvonar:scenario/line@0.2.0`; this host speaks zvonar:scenario 0.1",
            "it imports `zvonar:scenario/files@0.1.0`, which no scenario may reach",
            "it imports `steal`, which no scenario may reach",
            "it does not export `run`, the function that is the scenario",
        ]
    );
}

/// What a host of 0.1 says to a guest of a later 0.1, and to one of another contract under the same name.
#[test]
fn what_this_host_lacks_and_what_has_changed_is_named() {
    let run = r#"
        (core module $m
            (func (export "run") (result i32) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
            (memory (export "memory") 1))
        (core instance $i (instantiate $m))
        (type $result (result (error string)))
        (func (export "run") (result $result)
            (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))"#;
    let found = |imports: &str| component(&format!("(component {imports} {run})"));
    assert_eq!(found(""), [""; 0]);
    assert_eq!(
        found(
            r#"(import "zvonar:scenario/host@0.1.7" (instance
                (export "now" (func (result string)))
                (export "uptime" (func (result u64)))))"#
        ),
        [
            "it uses function host.uptime, which this host does not have: it was built for a later zvonar:scenario 0.1, so update the host or build it against this host's contract"
        ]
    );
    assert_eq!(
        found(
            r#"(import "zvonar:scenario/sms@0.1.0" (instance
                (type $e (variant (case "not-configured") (case "limit")))
                (export "sms-error" (type $error (eq $e)))
                (export "send" (func (param "to" (option string)) (param "text" string)
                    (result (result string (error $error)))))))"#
        ),
        [
            "type sms.sms-error differs from this host's contract: the component has `variant { not-configured, limit }`, the host `variant { not-configured, refused(string), limit }`"
        ]
    );
    assert_eq!(
        found(
            r#"(import "zvonar:scenario/lead@0.1.3" (instance
                (export "note" (func (param "words" string)))
                (export "block" (func (param "reason" string) (result bool)))))"#
        ),
        [
            "function lead.note differs from this host's contract: the component has `func(words: string)`, the host `func(text: string)`",
            "function lead.block differs from this host's contract: the component has `func(reason: string) -> bool`, the host `func(reason: string)`",
        ]
    );
}

#[test]
fn a_scenario_as_it_is_built_is_taken() {
    for name in ["menu", "bench", "naughty"] {
        let file = scenarios().join(name).join(format!("{name}.wasm"));
        let bytes = std::fs::read(&file).unwrap_or_else(|_| panic!("{}: run `./zv guests`", file.display()));
        assert_eq!(inspect(&bytes), []);
    }
}

#[test]
fn a_core_module_without_its_world_becomes_no_component() {
    let module = wat::parse_str(r#"(module (import "env" "read" (func)))"#).unwrap();
    let error = componentize(&module).unwrap_err().to_string();
    assert!(error.starts_with("no component could be made of it: "), "{error}");
}

#[test]
fn damaged_components_never_panic() {
    let file = scenarios().join("menu/menu.wasm");
    let whole = std::fs::read(&file).unwrap_or_else(|_| panic!("{}: run `./zv guests`", file.display()));
    // A step that is prime to the sizes in the file lands everywhere in it.
    for cut in (0..whole.len()).step_by(997) {
        assert!(!inspect(&whole[..cut]).is_empty(), "cut at {cut}");
        let mut bent = whole.clone();
        bent[cut] ^= 0x55;
        // A flipped bit may well be harmless (in a name, in a string); it only must not panic.
        let _ = inspect(&bent);
    }
}

/// Regenerating by hand is easily forgotten after a change of the contract.
#[test]
fn the_bindings_of_the_guests_are_those_of_the_contract() {
    use sha2::{Digest, Sha256};
    let root = scenarios().join("..");
    let mut files: Vec<_> =
        std::fs::read_dir(root.join("wit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(std::fs::read(file).unwrap());
    }
    let line = format!("// Contract: SHA-256 {}", hex::encode(hash.finalize()));
    let guests = std::fs::read_dir(root.join("guest-examples")).unwrap().map(|entry| entry.unwrap());
    let mut looked_at = 0;
    for guest in guests {
        let name = guest.file_name().into_string().unwrap();
        let files: &[&str] = match name.split('-').next() {
            Some("rust") => &["src/bindings.rs"],
            Some("c") => &["bindings/scenario.h", "bindings/scenario.c"],
            // The others have none: their tools read the contract itself.
            _ => &[],
        };
        for file in files {
            let text = std::fs::read_to_string(guest.path().join(file)).unwrap();
            let first = text.lines().next().unwrap_or_default();
            assert_eq!(first, line, "{name}/{file}: run guest-examples/bindings.sh");
            looked_at += 1;
        }
        // Written by hand, once, and copied: a guest is whole in its own folder.
        for file in ["bindings/talk.h", "bindings/talk.c"].iter().filter(|_| name.starts_with("c-")) {
            let first = std::fs::read(root.join("guest-examples/c-appointment").join(file)).unwrap();
            assert_eq!(std::fs::read(guest.path().join(file)).unwrap(), first, "{name}/{file}");
        }
    }
    assert!(looked_at >= 10, "{looked_at} bindings were looked at");
}
