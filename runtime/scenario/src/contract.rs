//! The contract in `wit/` against what a component imports: which function this host lacks, which type has changed.
//!
//! The sandbox's linker would refuse such a component as well, after it was compiled, which takes a large one many
//! seconds of CPU, and in words about type indices. Here it takes a millisecond, and both types are written out.
//!
//! Types are compared by their own shape, with the types inside them by name: of two types that changed the one that
//! was changed is named, and not all that contain it.

use std::fmt::Write;
use std::sync::LazyLock;

use wit_parser::{
    Function, FunctionKind, Interface, Resolve, Type, TypeDefKind, TypeId, World, WorldItem, WorldKey,
};

use crate::component::ComponentFault;

/// The contract's source. `world` comes first: it has the package's name.
const SOURCE: [&str; 8] = [
    include_str!("../../../wit/world.wit"),
    include_str!("../../../wit/types.wit"),
    include_str!("../../../wit/line.wit"),
    include_str!("../../../wit/lead.wit"),
    include_str!("../../../wit/outcome.wit"),
    include_str!("../../../wit/sms.wit"),
    include_str!("../../../wit/settings.wit"),
    include_str!("../../../wit/host.wit"),
];

static CONTRACT: LazyLock<Resolve> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    resolve
        .push_source("zvonar.wit", &SOURCE.concat())
        .expect("the contract is sound: its bindings were made of it");
    resolve
});

/// What this host's contract has under the name of an interface; `None`: no such interface.
fn interface(name: &str) -> Option<&'static Interface> {
    CONTRACT.interfaces.iter().map(|(_, interface)| interface).find(|own| own.name.as_deref() == Some(name))
}

/// How one interface of a component differs from the contract's of the same name.
pub(crate) fn differences(theirs: &Resolve, name: &str, item: &WorldItem) -> Vec<ComponentFault> {
    let (Some(ours), WorldItem::Interface { id, .. }) = (interface(name), item) else { return Vec::new() };
    let imported = &theirs.interfaces[*id];
    let mut faults = Vec::new();
    for (inner, id) in &imported.types {
        let shapes = |own: &TypeId| (shape_of(theirs, *id), shape_of(&CONTRACT, *own));
        match ours.types.get(inner).map(shapes) {
            Some((theirs, ours)) if theirs == ours => {}
            Some((theirs, ours)) => {
                faults.push(ComponentFault::Changed { what: format!("type {name}.{inner}"), theirs, ours });
            }
            None => faults.push(ComponentFault::Newer(format!("type {name}.{inner}"))),
        }
    }
    for (inner, function) in &imported.functions {
        match ours.functions.get(inner) {
            Some(own) => faults.extend(function_differs(theirs, function, own, &format!("{name}.{inner}"))),
            None => faults.push(ComponentFault::Newer(format!("function {name}.{inner}"))),
        }
    }
    faults
}

/// How an exported function differs from the contract's of the same name.
pub(crate) fn export_differs(theirs: &Resolve, world: &World, name: &str) -> Option<ComponentFault> {
    let key = WorldKey::Name(name.to_owned());
    let ours = CONTRACT.worlds.iter().find_map(|(_, own)| own.exports.get(&key));
    match (world.exports.get(&key), ours) {
        (Some(WorldItem::Function(theirs_own)), Some(WorldItem::Function(own))) => {
            function_differs(theirs, theirs_own, own, name)
        }
        _ => None,
    }
}

fn function_differs(
    theirs: &Resolve,
    function: &Function,
    own: &Function,
    name: &str,
) -> Option<ComponentFault> {
    let (theirs, ours) = (signature(theirs, function), signature(&CONTRACT, own));
    let what = || format!("function {name}");
    (theirs != ours).then(|| ComponentFault::Changed { what: what(), theirs, ours })
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let mut text = match function.kind {
        FunctionKind::Freestanding => "func(".to_owned(),
        _ => "async func(".to_owned(),
    };
    for (i, param) in function.params.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{}: {}", param.name, shape(resolve, &param.ty));
    }
    text.push(')');
    if let Some(result) = &function.result {
        let _ = write!(text, " -> {}", shape(resolve, result));
    }
    text
}

/// A type as it is written where it is used: by its name if it has one.
fn shape(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::U8 => "u8".into(),
        Type::U16 => "u16".into(),
        Type::U32 => "u32".into(),
        Type::U64 => "u64".into(),
        Type::S8 => "s8".into(),
        Type::S16 => "s16".into(),
        Type::S32 => "s32".into(),
        Type::S64 => "s64".into(),
        Type::F32 => "f32".into(),
        Type::F64 => "f64".into(),
        Type::Char => "char".into(),
        Type::String => "string".into(),
        Type::ErrorContext => "error-context".into(),
        Type::Id(id) => match &resolve.types[*id].name {
            Some(name) => name.clone(),
            None => shape_of(resolve, *id),
        },
    }
}

/// A type as it is written where it is declared.
fn shape_of(resolve: &Resolve, id: TypeId) -> String {
    let inner = |ty: &Type| shape(resolve, ty);
    let perhaps = |ty: &Option<Type>| ty.as_ref().map_or("_".into(), inner);
    let list = |items: Vec<String>| items.join(", ");
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter().map(|field| format!("{}: {}", field.name, inner(&field.ty)));
            format!("record {{ {} }}", list(fields.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| match &case.ty {
                Some(ty) => format!("{}({})", case.name, inner(ty)),
                None => case.name.clone(),
            });
            format!("variant {{ {} }}", list(cases.collect()))
        }
        TypeDefKind::Enum(cases) => {
            format!("enum {{ {} }}", list(cases.cases.iter().map(|case| case.name.clone()).collect()))
        }
        TypeDefKind::Flags(flags) => {
            format!("flags {{ {} }}", list(flags.flags.iter().map(|flag| flag.name.clone()).collect()))
        }
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", list(tuple.types.iter().map(inner).collect())),
        TypeDefKind::Option(ty) => format!("option<{}>", inner(ty)),
        TypeDefKind::List(ty) => format!("list<{}>", inner(ty)),
        TypeDefKind::Result(result) => match (&result.ok, &result.err) {
            (None, None) => "result".into(),
            (ok, None) => format!("result<{}>", perhaps(ok)),
            (ok, err) => format!("result<{}, {}>", perhaps(ok), perhaps(err)),
        },
        TypeDefKind::Type(ty) => inner(ty),
        // The contract has none of these, so what they are made of makes no difference.
        other => other.as_str().to_owned(),
    }
}
