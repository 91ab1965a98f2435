//! The functions of a component's file, for people: their types, and an example line of each.

use taskhost_protocol::kernel::Function as Listed;
use taskhost_protocol::limits::cap_text;
use wasmparser::PrimitiveValType as Primitive;
use wasmparser::component_types::{ComponentDefinedType, ComponentEntityType, ComponentFuncTypeId, ComponentValType};
use wasmparser::types::TypesRef;

use super::integer::Integer;
use super::shape::{ASYNC, Function, Parts, Shape, Unwritable};
use super::{example, names};
use crate::{contract, render};

/// The functions of an export that can be named with `--invoke`. Those of the contract are called in another way.
pub(crate) fn functions(types: TypesRef<'_>, export: &str, entity: &ComponentEntityType) -> Vec<Listed> {
    match entity {
        ComponentEntityType::Func(id) => vec![listed(types, export.to_owned(), *id)],
        ComponentEntityType::Instance(id) if contract::interface(export).is_none() => {
            let mut found = Vec::new();
            for (name, item) in &types[*id].exports {
                if let ComponentEntityType::Func(id) = item.ty {
                    found.push(listed(types, names::full(Some(export), name), id));
                }
            }
            found
        }
        _ => Vec::new(),
    }
}

fn listed(types: TypesRef<'_>, name: String, id: ComponentFuncTypeId) -> Listed {
    let call = function(types, id).map(|function| example::line(&function));
    Listed { name: cap_text(name), ty: render::function(types, id), call: call.map_err(cap_text) }
}

fn function(types: TypesRef<'_>, id: ComponentFuncTypeId) -> Result<Function, String> {
    let ty = &types[id];
    if ty.async_ {
        return Err(ASYNC.into());
    }
    let mut parts = Parts::default();
    let mut params = Vec::new();
    for (name, ty) in &ty.params {
        let shape = shape(types, ty, &mut parts).map_err(|why| why.at(&format!("its parameter {name}")))?;
        params.push((name.to_string(), shape));
    }
    let result = ty.result.as_ref().map(|ty| shape(types, ty, &mut parts)).transpose();
    Ok(Function { params, result: result.map_err(|why| why.at("its result"))? })
}

fn shape(types: TypesRef<'_>, ty: &ComponentValType, parts: &mut Parts) -> Result<Shape, Unwritable> {
    parts.within(|parts| {
        let id = match ty {
            ComponentValType::Primitive(primitive) => return of_primitive(*primitive),
            ComponentValType::Type(id) => *id,
        };
        let mut inner = |ty: &ComponentValType| shape(types, ty, parts);
        let names = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>();
        Ok(match &types[id] {
            ComponentDefinedType::Primitive(primitive) => of_primitive(*primitive)?,
            ComponentDefinedType::Record(record) => {
                let field = record.fields.iter().map(|(name, ty)| Ok((name.to_string(), inner(ty)?)));
                Shape::Record(field.collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::Variant(variant) => {
                let case = variant
                    .cases
                    .iter()
                    .map(|(name, case)| Ok((name.to_string(), case.ty.as_ref().map(&mut inner).transpose()?)));
                Shape::Variant(case.collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::List { element, .. } => Shape::list_of(inner(element)?),
            ComponentDefinedType::Option { ty, .. } => Shape::Option(Box::new(inner(ty)?)),
            ComponentDefinedType::Tuple(tuple) => {
                Shape::Tuple(tuple.types.iter().map(inner).collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::Flags(flags) => Shape::Flags(names(&mut flags.iter().map(ToString::to_string))),
            ComponentDefinedType::Enum(cases) => Shape::Enum(names(&mut cases.iter().map(ToString::to_string))),
            ComponentDefinedType::Result { ok, err, .. } => {
                let mut boxed =
                    |ty: &Option<ComponentValType>| ty.as_ref().map(|ty| inner(ty).map(Box::new)).transpose();
                Shape::Result { ok: boxed(ok)?, err: boxed(err)? }
            }
            ComponentDefinedType::Own(_) | ComponentDefinedType::Borrow(_) => return Err(Unwritable::RESOURCE),
            ComponentDefinedType::Future { .. } => return Err(Unwritable::FUTURE),
            ComponentDefinedType::Stream { .. } => return Err(Unwritable::STREAM),
            _ => return Err(Unwritable::NEWER),
        })
    })
}

fn of_primitive(primitive: Primitive) -> Result<Shape, Unwritable> {
    Ok(match primitive {
        Primitive::Bool => Shape::Bool,
        Primitive::S8 => Shape::Integer(Integer::S8),
        Primitive::U8 => Shape::Integer(Integer::U8),
        Primitive::S16 => Shape::Integer(Integer::S16),
        Primitive::U16 => Shape::Integer(Integer::U16),
        Primitive::S32 => Shape::Integer(Integer::S32),
        Primitive::U32 => Shape::Integer(Integer::U32),
        Primitive::S64 => Shape::Integer(Integer::S64),
        Primitive::U64 => Shape::Integer(Integer::U64),
        Primitive::F32 => Shape::Float32,
        Primitive::F64 => Shape::Float64,
        Primitive::Char => Shape::Char,
        Primitive::String => Shape::String,
        Primitive::ErrorContext => return Err(Unwritable::NEWER),
    })
}
