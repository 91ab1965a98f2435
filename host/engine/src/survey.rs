//! What stands in a file: its imports and exports with their types, and the memory it starts with.

use taskhost_protocol::fault::Refusal;
use taskhost_protocol::kernel::{Function, Needs};
use taskhost_protocol::limits::cap_text;
use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use wasmparser::types::TypesRef;
use wasmparser::{Parser, Payload, Validator};

use crate::{config, invoke, render};

/// Bytes of a page of linear memory.
const PAGE: u64 = 64 * 1024;

/// Names shown to people. A large library exports thousands, and a hostile file millions.
const NAMES: usize = 256;

/// One import or export.
pub(crate) struct Entry {
    /// `module.name` for an import of a core module, else its name.
    pub(crate) name: String,
    /// Its type as text; empty for an interface.
    pub(crate) ty: String,
    /// The functions of an interface, with their types.
    pub(crate) functions: Vec<(String, String)>,
    /// Whether it is a type, or an interface with nothing but types: a name for what is known already.
    pub(crate) only_types: bool,
}

impl Entry {
    /// Of a core module.
    fn core(name: String, ty: String) -> Self {
        Self { name, ty, functions: Vec::new(), only_types: false }
    }
}

/// All that a kernel's file shows from outside.
pub(crate) struct Survey {
    pub(crate) is_component: bool,
    /// A core module says with a custom section which component it wants to be.
    pub(crate) has_component_type: bool,
    pub(crate) imports: Vec<Entry>,
    pub(crate) exports: Vec<Entry>,
    /// The functions of a component that can be named with `--invoke`; of very many the first.
    pub(crate) functions: Vec<Function>,
    /// Bytes of all memories defined in it, in nested modules too.
    pub(crate) initial_memory: u64,
    pub(crate) needs: Needs,
}

impl Survey {
    /// Validates `wasm` and looks at it.
    pub(crate) fn of(wasm: &[u8]) -> Result<Self, Refusal> {
        let invalid = |error: wasmparser::BinaryReaderError| Refusal::NotWasm(error.to_string());
        let needs = needs(wasm).map_err(invalid)?;
        let types = Validator::new_with_features(config::features(needs)).validate_all(wasm).map_err(invalid)?;
        let types = types.as_ref();
        let mut survey = Self {
            is_component: Parser::is_component(wasm),
            has_component_type: false,
            imports: Vec::new(),
            exports: Vec::new(),
            functions: Vec::new(),
            initial_memory: 0,
            needs,
        };
        let interface = |name: &str, entity: &ComponentEntityType| {
            let (ty, functions) = match entity {
                ComponentEntityType::Instance(id) => (String::new(), render::functions(types, *id)),
                other => (render::entity(types, other), Vec::new()),
            };
            Entry { name: name.into(), ty, functions, only_types: only_types(types, entity) }
        };
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(invalid)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::MemorySection(section) => {
                    for memory in section {
                        let bytes = memory.map_err(invalid)?.initial.saturating_mul(PAGE);
                        survey.initial_memory = survey.initial_memory.saturating_add(bytes);
                    }
                }
                Payload::CustomSection(section) if depth == 0 => {
                    survey.has_component_type |= section.name().starts_with("component-type");
                }
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let name = import.map_err(invalid)?.name.name;
                        if let Some(item) = types.component_item_for_import(name) {
                            survey.imports.push(interface(name, &item.ty));
                        }
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let name = export.map_err(invalid)?.name.name;
                        if let Some(item) = types.component_item_for_export(name) {
                            survey.exports.push(interface(name, &item.ty));
                            if survey.functions.len() < NAMES {
                                survey.functions.extend(invoke::functions(types, name, &item.ty));
                                survey.functions.truncate(NAMES);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        for (module, name, ty) in types.core_imports().into_iter().flatten() {
            let name = format!("{module}.{name}");
            survey.imports.push(Entry::core(name, render::core(types, ty)));
        }
        for (name, ty) in types.core_exports().into_iter().flatten() {
            survey.exports.push(Entry::core(name.into(), render::core(types, ty)));
        }
        survey.imports.sort_by(|a, b| a.name.cmp(&b.name));
        survey.exports.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(survey)
    }

    /// The export of this name.
    pub(crate) fn export(&self, name: &str) -> Option<&Entry> {
        self.exports.iter().find(|entry| entry.name == name)
    }

    /// All imports, to be read by people.
    pub(crate) fn import_names(&self) -> Vec<String> {
        names(&self.imports)
    }

    /// All exports, to be read by people.
    pub(crate) fn export_names(&self) -> Vec<String> {
        names(&self.exports)
    }
}

/// What the code needs of the engine, by the sections that are there, in nested modules too.
fn needs(wasm: &[u8]) -> Result<Needs, wasmparser::BinaryReaderError> {
    let mut needs = Needs::default();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            // Whoever throws or catches names a tag, of its own or imported.
            Payload::TagSection(_) => needs.exceptions = true,
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    needs.exceptions |= matches!(import?.ty, wasmparser::TypeRef::Tag(_));
                }
            }
            Payload::CustomSection(section) => needs.debug_info |= section.name() == ".debug_info",
            _ => {}
        }
    }
    Ok(needs)
}

/// Whether nothing has to be provided for it. A resource does.
fn only_types(types: TypesRef<'_>, entity: &ComponentEntityType) -> bool {
    match entity {
        ComponentEntityType::Type { created, .. } => !matches!(created, ComponentAnyTypeId::Resource(_)),
        ComponentEntityType::Instance(id) => types[*id].exports.values().all(|item| match item.ty {
            // No deeper: interfaces have none within them.
            ComponentEntityType::Type { created, .. } => !matches!(created, ComponentAnyTypeId::Resource(_)),
            _ => false,
        }),
        _ => false,
    }
}

fn names(entries: &[Entry]) -> Vec<String> {
    let mut names: Vec<String> = entries.iter().take(NAMES).map(readable).collect();
    if entries.len() > NAMES {
        names.push(format!("… and {} more", entries.len() - NAMES));
    }
    names
}

fn readable(entry: &Entry) -> String {
    cap_text(if entry.ty.is_empty() { entry.name.clone() } else { format!("{}: {}", entry.name, entry.ty) })
}
