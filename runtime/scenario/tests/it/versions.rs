//! Within 0.1.x functions are only added: old guests run on later hosts, and guests that were built against a later
//! contract run here as long as they use nothing that is not here.

use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Config, Engine, Store};
use zvonar_scenario::Ending;

use crate::line::{PretendLine, engine, scenarios, talk};

/// A host of zvonar:scenario 0.1.7, whose `host` has one function more. All it does is say that the caller has left.
fn later_host(engine: &Engine) -> Linker<Vec<&'static str>> {
    let gone = Val::Result(Err(Some(Box::new(Val::Variant("hung-up".into(), None)))));
    let none = Val::Option(None);
    let done = Val::Result(Ok(None));
    let functions: &[(&str, &[(&'static str, Option<&Val>)])] = &[
        ("types", &[]),
        (
            "line",
            &[
                ("about", None),
                ("play", Some(&gone)),
                ("ask", Some(&gone)),
                ("transfer", Some(&gone)),
                ("record-voice", Some(&gone)),
                ("wait", Some(&gone)),
                ("hangup", None),
            ],
        ),
        ("lead", &[("field", Some(&none)), ("set-field", Some(&done)), ("note", None), ("block", None)]),
        ("outcome", &[("set-result", Some(&done))]),
        ("sms", &[("send", None)]),
        ("settings", &[("get", Some(&none))]),
        ("host", &[("log", None), ("now", None), ("random", None), ("uptime", Some(&Val::U64(7)))]),
    ];
    let mut linker = Linker::new(engine);
    for (interface, functions) in functions {
        let mut instance = linker.instance(&format!("zvonar:scenario/{interface}@0.1.7")).unwrap();
        for (name, answer) in *functions {
            let (name, answer) = (*name, answer.cloned());
            let called = move |mut store: wasmtime::StoreContextMut<'_, Vec<&'static str>>,
                               _: wasmtime::component::types::ComponentFunc,
                               _: &[Val],
                               results: &mut [Val]| {
                store.data_mut().push(name);
                if let Some(answer) = &answer {
                    results[0] = answer.clone();
                }
                Ok(())
            };
            instance.func_new(name, called).unwrap();
        }
    }
    linker
}

#[test]
fn a_guest_of_the_first_contract_runs_on_a_host_with_an_added_function() {
    let mut config = Config::new();
    config.wasm_component_model(true).concurrency_support(false);
    let engine = Engine::new(&config).unwrap();
    let bytes = std::fs::read(scenarios().join("menu/menu.wasm")).expect("`./zv guests` builds it");
    let component = Component::new(&engine, bytes).unwrap();
    let mut store = Store::new(&engine, Vec::new());
    let instance = later_host(&engine).instantiate(&mut store, &component).unwrap();
    let run = instance.get_typed_func::<(), (Result<(), String>,)>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), (Ok(()),));
    assert!(store.data().contains(&"ask"), "it asked, and was told that nobody is there: {:?}", store.data());
}

#[tokio::test]
async fn a_guest_of_a_later_contract_runs_here_if_it_uses_nothing_that_is_not_here() {
    let guest = r#"(component
        (import "zvonar:scenario/host@0.1.7" (instance $host (export "random" (func (result u64)))))
        (core func $random (canon lower (func $host "random")))
        (core module $m
            (import "host" "random" (func $random (result i64)))
            (func (export "run") (result i32) (drop (call $random)) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (memory (export "memory") 1))
        (core instance $i (instantiate $m (with "host" (instance (export "random" (func $random))))))
        (type $result (result (error string)))
        (func (export "run") (result $result)
            (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#;
    let folder = tempfile::tempdir().unwrap();
    let manifest = "name = \"later\"\nversion = \"1\"\ncomponent = \"later.wasm\"\n";
    std::fs::write(folder.path().join("scenario.toml"), manifest).unwrap();
    std::fs::write(folder.path().join("later.wasm"), wat::parse_str(guest).unwrap()).unwrap();
    let package =
        zvonar_scenario::Package::open(folder.path()).unwrap_or_else(|faults| panic!("\n{faults}\n"));
    let module = engine().load(&package).unwrap();
    let end = talk(&module, &[], &PretendLine::new(&[])).await;
    assert_eq!(end.ending, Ending::Returned);
    assert_eq!(end.trace.events[0].call, "host.random");
}
