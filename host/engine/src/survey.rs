//! What stands in a file: its imports and exports with their types, and the memory it starts with.

use taskhost_protocol::fault::Refusal;
use taskhost_protocol::limits::cap_text;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::{Parser, Payload, Validator};

use crate::{config, render};

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
}

/// All that a kernel's file shows from outside.
pub(crate) struct Survey {
    pub(crate) is_component: bool,
    /// A core module says with a custom section which component it wants to be.
    pub(crate) has_component_type: bool,
    pub(crate) imports: Vec<Entry>,
    pub(crate) exports: Vec<Entry>,
    /// Bytes of all memories defined in it, in nested modules too.
    pub(crate) initial_memory: u64,
}

impl Survey {
    /// Validates `wasm` and looks at it.
    pub(crate) fn of(wasm: &[u8]) -> Result<Self, Refusal> {
        let invalid = |error: wasmparser::BinaryReaderError| Refusal::NotWasm(error.to_string());
        let types = Validator::new_with_features(config::features()).validate_all(wasm).map_err(invalid)?;
        let types = types.as_ref();
        let mut survey = Self {
            is_component: Parser::is_component(wasm),
            has_component_type: false,
            imports: Vec::new(),
            exports: Vec::new(),
            initial_memory: 0,
        };
        let interface = |name: &str, entity: &ComponentEntityType| match entity {
            ComponentEntityType::Instance(id) => {
                Entry { name: name.into(), ty: String::new(), functions: render::functions(types, *id) }
            }
            other => Entry { name: name.into(), ty: render::entity(types, other), functions: Vec::new() },
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
                        }
                    }
                }
                _ => {}
            }
        }
        for (module, name, ty) in types.core_imports().into_iter().flatten() {
            let name = format!("{module}.{name}");
            survey.imports.push(Entry { name, ty: render::core(types, ty), functions: Vec::new() });
        }
        for (name, ty) in types.core_exports().into_iter().flatten() {
            survey.exports.push(Entry { name: name.into(), ty: render::core(types, ty), functions: Vec::new() });
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
