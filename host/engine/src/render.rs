//! Types as text, in the notation of WIT and, for core modules, of the text format. Two types are equal when their
//! texts are: names of records and variants are left out, since only their structure counts.

use wasmparser::component_types::{
    ComponentDefinedType, ComponentEntityType, ComponentFuncTypeId, ComponentInstanceTypeId, ComponentValType,
};
use wasmparser::types::{EntityType, TypesRef};

/// The functions of an interface, by name.
pub(crate) fn functions(types: TypesRef<'_>, instance: ComponentInstanceTypeId) -> Vec<(String, String)> {
    let mut functions = Vec::new();
    for (name, item) in &types[instance].exports {
        if let ComponentEntityType::Func(id) = item.ty {
            functions.push((name.clone(), function(types, id)));
        }
    }
    functions
}

/// An import or export of a component.
pub(crate) fn entity(types: TypesRef<'_>, entity: &ComponentEntityType) -> String {
    match entity {
        ComponentEntityType::Func(id) => function(types, *id),
        ComponentEntityType::Module(_) => "module".into(),
        ComponentEntityType::Value(value) => self::value(types, value),
        ComponentEntityType::Type { .. } => "type".into(),
        ComponentEntityType::Instance(_) => "interface".into(),
        ComponentEntityType::Component(_) => "component".into(),
    }
}

/// An import or export of a core module.
pub(crate) fn core(types: TypesRef<'_>, entity: EntityType) -> String {
    match entity {
        EntityType::Func(id) | EntityType::FuncExact(id) => {
            let function = types[id].unwrap_func();
            let list =
                |types: &[wasmparser::ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let results = match function.results() {
                [one] => one.to_string(),
                many => format!("({})", list(many)),
            };
            format!("({}) -> {results}", list(function.params()))
        }
        EntityType::Table(_) => "table".into(),
        EntityType::Memory(memory) if memory.memory64 || memory.shared => "memory of another kind".into(),
        EntityType::Memory(_) => "memory".into(),
        EntityType::Global(global) => format!("global {}", global.content_type),
        EntityType::Tag(_) => "tag".into(),
    }
}

fn function(types: TypesRef<'_>, id: ComponentFuncTypeId) -> String {
    let function = &types[id];
    let parameters: Vec<String> =
        function.params.iter().map(|(name, ty)| format!("{name}: {}", value(types, ty))).collect();
    let mut text = format!("func({})", parameters.join(", "));
    if function.async_ {
        text.insert_str(0, "async ");
    }
    if let Some(result) = &function.result {
        text.push_str(" -> ");
        text.push_str(&value(types, result));
    }
    text
}

fn optional(types: TypesRef<'_>, ty: Option<&ComponentValType>) -> String {
    ty.map_or_else(|| "_".into(), |ty| value(types, ty))
}

fn value(types: TypesRef<'_>, ty: &ComponentValType) -> String {
    let id = match ty {
        ComponentValType::Primitive(primitive) => return primitive.to_string(),
        ComponentValType::Type(id) => *id,
    };
    match &types[id] {
        ComponentDefinedType::Primitive(primitive) => primitive.to_string(),
        ComponentDefinedType::Record(record) => {
            let fields: Vec<String> =
                record.fields.iter().map(|(name, ty)| format!("{name}: {}", value(types, ty))).collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        ComponentDefinedType::Variant(variant) => {
            let cases: Vec<String> = variant
                .cases
                .iter()
                .map(|(name, case)| match &case.ty {
                    Some(ty) => format!("{name}({})", value(types, ty)),
                    None => name.to_string(),
                })
                .collect();
            format!("variant {{ {} }}", cases.join(", "))
        }
        ComponentDefinedType::List { element, .. } => format!("list<{}>", value(types, element)),
        ComponentDefinedType::Tuple(tuple) => {
            let fields: Vec<String> = tuple.types.iter().map(|ty| value(types, ty)).collect();
            format!("tuple<{}>", fields.join(", "))
        }
        ComponentDefinedType::Flags(names) => format!("flags {{ {} }}", join(names)),
        ComponentDefinedType::Enum(names) => format!("enum {{ {} }}", join(names)),
        ComponentDefinedType::Option { ty, .. } => format!("option<{}>", value(types, ty)),
        ComponentDefinedType::Result { ok, err, .. } => match (ok, err) {
            (None, None) => "result".into(),
            (ok, None) => format!("result<{}>", optional(types, ok.as_ref())),
            (ok, err) => format!("result<{}, {}>", optional(types, ok.as_ref()), optional(types, err.as_ref())),
        },
        ComponentDefinedType::Own(_) => "own<resource>".into(),
        ComponentDefinedType::Borrow(_) => "borrow<resource>".into(),
        // Not supported by the engine either: it refuses the kernel when it compiles it.
        _ => "a type of a newer component model".into(),
    }
}

fn join<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}
