//! The types of a compiled component, as wasmtime knows them.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};

use super::integer::Integer;
use super::shape::{Function, Parts, Shape, Unwritable};

/// An exported function.
pub(crate) struct Exported {
    /// The interface that it belongs to, when it belongs to one.
    pub(crate) interface: Option<String>,
    pub(crate) name: String,
    pub(crate) ty: ComponentFunc,
}

/// All functions that a component exports, by itself or in interfaces.
pub(crate) fn exported(engine: &Engine, component: &Component) -> Vec<Exported> {
    let mut functions = Vec::new();
    for (name, item) in component.component_type().exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(ty) => functions.push(Exported { interface: None, name: name.into(), ty }),
            ComponentItem::ComponentInstance(instance) => {
                for (inner, item) in instance.exports(engine) {
                    if let ComponentItem::ComponentFunc(ty) = item.ty {
                        functions.push(Exported { interface: Some(name.into()), name: inner.into(), ty });
                    }
                }
            }
            _ => {}
        }
    }
    functions
}

/// The shape of a function, or why it cannot be called.
pub(crate) fn function(ty: &ComponentFunc) -> Result<Function, String> {
    if ty.async_() {
        return Err(super::shape::ASYNC.into());
    }
    let mut parts = Parts::default();
    let mut params = Vec::new();
    for (name, ty) in ty.params() {
        let shape = shape(&ty, &mut parts).map_err(|why| why.at(&format!("its parameter {name}")))?;
        params.push((name.to_owned(), shape));
    }
    let result = ty.results().next().map(|ty| shape(&ty, &mut parts)).transpose();
    Ok(Function { params, result: result.map_err(|why| why.at("its result"))? })
}

fn shape(ty: &Type, parts: &mut Parts) -> Result<Shape, Unwritable> {
    parts.within(|parts| {
        let mut inner = |ty: Type| shape(&ty, parts);
        let mut boxed = |ty: Option<Type>| ty.map(|ty| inner(ty).map(Box::new)).transpose();
        Ok(match ty {
            Type::Bool => Shape::Bool,
            Type::S8 => Shape::Integer(Integer::S8),
            Type::U8 => Shape::Integer(Integer::U8),
            Type::S16 => Shape::Integer(Integer::S16),
            Type::U16 => Shape::Integer(Integer::U16),
            Type::S32 => Shape::Integer(Integer::S32),
            Type::U32 => Shape::Integer(Integer::U32),
            Type::S64 => Shape::Integer(Integer::S64),
            Type::U64 => Shape::Integer(Integer::U64),
            Type::Float32 => Shape::Float32,
            Type::Float64 => Shape::Float64,
            Type::Char => Shape::Char,
            Type::String => Shape::String,
            Type::Result(result) => Shape::Result { ok: boxed(result.ok())?, err: boxed(result.err())? },
            Type::List(list) => Shape::list_of(inner(list.ty())?),
            Type::Option(option) => Shape::Option(Box::new(inner(option.ty())?)),
            Type::Tuple(tuple) => Shape::Tuple(tuple.types().map(inner).collect::<Result<_, _>>()?),
            Type::Record(record) => {
                let field = record.fields().map(|field| Ok((field.name.to_owned(), inner(field.ty)?)));
                Shape::Record(field.collect::<Result<_, _>>()?)
            }
            Type::Variant(variant) => {
                let case = variant.cases().map(|case| Ok((case.name.to_owned(), case.ty.map(&mut inner).transpose()?)));
                Shape::Variant(case.collect::<Result<_, _>>()?)
            }
            Type::Enum(names) => Shape::Enum(names.names().map(str::to_owned).collect()),
            Type::Flags(names) => Shape::Flags(names.names().map(str::to_owned).collect()),
            Type::Own(_) | Type::Borrow(_) => return Err(Unwritable::RESOURCE),
            Type::Future(_) => return Err(Unwritable::FUTURE),
            Type::Stream(_) => return Err(Unwritable::STREAM),
            Type::ErrorContext | Type::Map(_) | Type::FixedLengthList(_) => return Err(Unwritable::NEWER),
        })
    })
}
