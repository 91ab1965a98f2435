//! Types as text, in the notation of WIT and, for core modules, of the text format. Two types of the contract are
//! equal when their texts are: names of records and variants are left out, since only their structure counts.

use wasmparser::component_types::{
    ComponentDefinedType, ComponentEntityType, ComponentFuncTypeId, ComponentInstanceTypeId, ComponentValType,
};
use wasmparser::types::{EntityType, TypesRef};

/// A type is written no further than this many bytes: a small file can define one whose text has gigabytes. The
/// longest of the contract has five hundred.
const TEXT_BYTES: usize = 2048;

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
        ComponentEntityType::Value(_) => "value".into(),
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

/// A function.
pub(crate) fn function(types: TypesRef<'_>, id: ComponentFuncTypeId) -> String {
    let function = &types[id];
    let mut writer = Writer { types, text: String::new() };
    if function.async_ {
        writer.push("async ");
    }
    writer.push("func(");
    writer.list(&function.params, |writer, (name, ty)| writer.named(name, ty));
    writer.push(")");
    if let Some(result) = &function.result {
        writer.push(" -> ");
        writer.value(result);
    }
    if writer.text.len() >= TEXT_BYTES {
        writer.text.truncate(writer.text.floor_char_boundary(TEXT_BYTES));
        writer.text.push('…');
    }
    writer.text
}

struct Writer<'a> {
    types: TypesRef<'a>,
    text: String,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for (index, item) in items.into_iter().enumerate() {
            if self.text.len() >= TEXT_BYTES {
                return;
            }
            if index > 0 {
                self.push(", ");
            }
            write(self, item);
        }
    }

    fn named(&mut self, name: &str, ty: &ComponentValType) {
        self.push(name);
        self.push(": ");
        self.value(ty);
    }

    fn optional(&mut self, ty: Option<&ComponentValType>) {
        match ty {
            Some(ty) => self.value(ty),
            None => self.push("_"),
        }
    }

    /// `around` and the type in angle brackets.
    fn of(&mut self, around: &str, ty: &ComponentValType) {
        self.push(around);
        self.push("<");
        self.value(ty);
        self.push(">");
    }

    fn value(&mut self, ty: &ComponentValType) {
        if self.text.len() >= TEXT_BYTES {
            return;
        }
        let id = match ty {
            ComponentValType::Primitive(primitive) => return self.push(&primitive.to_string()),
            ComponentValType::Type(id) => *id,
        };
        let types = self.types;
        match &types[id] {
            ComponentDefinedType::Primitive(primitive) => self.push(&primitive.to_string()),
            ComponentDefinedType::Record(record) => {
                self.push("record { ");
                self.list(&record.fields, |writer, (name, ty)| writer.named(name, ty));
                self.push(" }");
            }
            ComponentDefinedType::Variant(variant) => {
                self.push("variant { ");
                self.list(&variant.cases, |writer, (name, case)| {
                    writer.push(name);
                    if let Some(ty) = &case.ty {
                        writer.push("(");
                        writer.value(ty);
                        writer.push(")");
                    }
                });
                self.push(" }");
            }
            ComponentDefinedType::List { element, .. } => self.of("list", element),
            ComponentDefinedType::Option { ty, .. } => self.of("option", ty),
            ComponentDefinedType::Tuple(tuple) => {
                self.push("tuple<");
                self.list(&tuple.types, |writer, ty| writer.value(ty));
                self.push(">");
            }
            ComponentDefinedType::Flags(names) => {
                self.push("flags { ");
                self.list(names, |writer, name| writer.push(name));
                self.push(" }");
            }
            ComponentDefinedType::Enum(names) => {
                self.push("enum { ");
                self.list(names, |writer, name| writer.push(name));
                self.push(" }");
            }
            ComponentDefinedType::Result { ok: None, err: None, .. } => self.push("result"),
            ComponentDefinedType::Result { ok, err, .. } => {
                self.push("result<");
                self.optional(ok.as_ref());
                if err.is_some() {
                    self.push(", ");
                    self.optional(err.as_ref());
                }
                self.push(">");
            }
            ComponentDefinedType::Own(_) => self.push("own<resource>"),
            ComponentDefinedType::Borrow(_) => self.push("borrow<resource>"),
            // Not supported by the engine either: it refuses the kernel when it compiles it.
            _ => self.push("a type of a newer component model"),
        }
    }
}
