//! Calls of functions that take bytes or give some, with the bytes as they are. Otherwise each byte of a `list<u8>` is a value of
//! its own in the host, of 40 bytes.
//!
//! That takes a type in this program for each signature, so there are those that are common: bytes as the one argument, with or
//! without a plain value beside them, and bytes as the result, which may be one of those that functions answer with.

use std::sync::Arc;

use wasmtime::component::{ComponentNamedList, Func, Lift, Lower, TypedFunc, Val};
use wasmtime::{Result, Store};

use super::integer::Integer;
use super::shape::{Function, Shape};
use crate::host::HostState;

/// What a function returned.
pub(super) enum Answer {
    /// Of a function whose result is `list<u8>`, or has it as what is there or went well.
    Bytes(Vec<u8>),
    /// As functions return it otherwise.
    Value(Option<Val>),
}

/// A function of one of the signatures.
pub(super) trait Direct: Send + Sync {
    /// Calls it. Where its `list<u8>` is among the arguments stands a value in its place; the bytes are those of `bytes`.
    fn call(&self, store: &mut Store<HostState>, arguments: &mut [Val], bytes: &Arc<Vec<u8>>) -> Result<Answer>;
}

/// The function, when its signature is one of those here.
pub(super) fn find(store: &mut Store<HostState>, function: Func, ty: &Function) -> Option<Box<dyn Direct>> {
    let result = ty.result.as_ref();
    let params: Vec<&Shape> = ty.params.iter().map(|(_, shape)| shape).collect();
    match params[..] {
        [Shape::Bytes] => any_result::<(Arc<Vec<u8>>,)>(store, function, result),
        [Shape::Bytes, Shape::String] => any_result::<(Arc<Vec<u8>>, String)>(store, function, result),
        [Shape::String, Shape::Bytes] => any_result::<(String, Arc<Vec<u8>>)>(store, function, result),
        [Shape::Bytes, Shape::Integer(Integer::U32)] => any_result::<(Arc<Vec<u8>>, u32)>(store, function, result),
        [] => bytes::<()>(store, function, result),
        [Shape::String] => bytes::<(String,)>(store, function, result),
        [Shape::Integer(Integer::U32)] => bytes::<(u32,)>(store, function, result),
        [Shape::Integer(Integer::U64)] => bytes::<(u64,)>(store, function, result),
        _ => None,
    }
}

/// With bytes as the result, or none where there could be some, or an error in their place.
fn bytes<A: Arguments>(
    store: &mut Store<HostState>,
    function: Func,
    result: Option<&Shape>,
) -> Option<Box<dyn Direct>> {
    match result? {
        Shape::Bytes => with::<A, (Vec<u8>,)>(store, function),
        Shape::Option(inner) if **inner == Shape::Bytes => with::<A, (Option<Vec<u8>>,)>(store, function),
        Shape::Result { ok: Some(ok), err } if **ok == Shape::Bytes => match err.as_deref() {
            None => with::<A, (std::result::Result<Vec<u8>, ()>,)>(store, function),
            Some(Shape::String) => with::<A, (std::result::Result<Vec<u8>, String>,)>(store, function),
            Some(_) => None,
        },
        _ => None,
    }
}

/// The same, or with another result that functions of bytes have.
fn any_result<A: Arguments>(
    store: &mut Store<HostState>,
    function: Func,
    result: Option<&Shape>,
) -> Option<Box<dyn Direct>> {
    let error = |shape: &Option<Box<Shape>>| shape.as_deref() == Some(&Shape::String);
    match result {
        None => with::<A, ()>(store, function),
        Some(Shape::Bool) => with::<A, (bool,)>(store, function),
        Some(Shape::Integer(Integer::U32)) => with::<A, (u32,)>(store, function),
        Some(Shape::Integer(Integer::U64)) => with::<A, (u64,)>(store, function),
        Some(Shape::Integer(Integer::S32)) => with::<A, (i32,)>(store, function),
        Some(Shape::Integer(Integer::S64)) => with::<A, (i64,)>(store, function),
        Some(Shape::Float64) => with::<A, (f64,)>(store, function),
        Some(Shape::String) => with::<A, (String,)>(store, function),
        Some(Shape::Result { ok, err }) if error(ok) && error(err) => {
            with::<A, (std::result::Result<String, String>,)>(store, function)
        }
        result => bytes::<A>(store, function, result),
    }
}

fn with<A: Arguments, R: Returned>(store: &mut Store<HostState>, function: Func) -> Option<Box<dyn Direct>> {
    let function = function.typed::<A, R>(store).ok()?;
    Some(Box::new(Signature(function)))
}

struct Signature<A, R>(TypedFunc<A, R>);

impl<A: Arguments, R: Returned> Direct for Signature<A, R> {
    fn call(&self, store: &mut Store<HostState>, arguments: &mut [Val], bytes: &Arc<Vec<u8>>) -> Result<Answer> {
        let Some(arguments) = A::of(arguments, bytes) else {
            wasmtime::bail!("the arguments are not those of the function");
        };
        Ok(self.0.call(store, arguments)?.answer())
    }
}

/// Arguments that are made of values, and of bytes.
trait Arguments: ComponentNamedList + Lower + Send + Sync + 'static {
    fn of(values: &mut [Val], bytes: &Arc<Vec<u8>>) -> Option<Self>
    where
        Self: Sized;
}

/// An argument that is made of its value, or of the bytes.
trait Argument: Sized {
    fn of(value: &mut Val, bytes: &Arc<Vec<u8>>) -> Option<Self>;
}

impl Argument for Arc<Vec<u8>> {
    fn of(_: &mut Val, bytes: &Arc<Vec<u8>>) -> Option<Self> {
        Some(Arc::clone(bytes))
    }
}

impl Argument for String {
    fn of(value: &mut Val, _: &Arc<Vec<u8>>) -> Option<Self> {
        if let Val::String(text) = value { Some(std::mem::take(text)) } else { None }
    }
}

impl Argument for u32 {
    fn of(value: &mut Val, _: &Arc<Vec<u8>>) -> Option<Self> {
        if let Val::U32(number) = value { Some(*number) } else { None }
    }
}

impl Argument for u64 {
    fn of(value: &mut Val, _: &Arc<Vec<u8>>) -> Option<Self> {
        if let Val::U64(number) = value { Some(*number) } else { None }
    }
}

impl Arguments for () {
    fn of(values: &mut [Val], _: &Arc<Vec<u8>>) -> Option<Self> {
        values.is_empty().then_some(())
    }
}

impl<T: Argument + Lower + Send + Sync + 'static> Arguments for (T,) {
    fn of(values: &mut [Val], bytes: &Arc<Vec<u8>>) -> Option<Self> {
        let [value] = values else { return None };
        Some((T::of(value, bytes)?,))
    }
}

impl<T, U> Arguments for (T, U)
where
    T: Argument + Lower + Send + Sync + 'static,
    U: Argument + Lower + Send + Sync + 'static,
{
    fn of(values: &mut [Val], bytes: &Arc<Vec<u8>>) -> Option<Self> {
        let [first, second] = values else { return None };
        Some((T::of(first, bytes)?, U::of(second, bytes)?))
    }
}

/// A result that an answer is made of.
trait Returned: ComponentNamedList + Lift + Send + Sync + 'static {
    fn answer(self) -> Answer;
}

macro_rules! values {
    ($($ty:ty => $case:ident,)*) => {
        $(
            impl Returned for ($ty,) {
                fn answer(self) -> Answer {
                    Answer::Value(Some(Val::$case(self.0)))
                }
            }
        )*
    };
}

values! {
    bool => Bool,
    u32 => U32,
    u64 => U64,
    i32 => S32,
    i64 => S64,
    f64 => Float64,
    String => String,
}

impl Returned for () {
    fn answer(self) -> Answer {
        Answer::Value(None)
    }
}

impl Returned for (Vec<u8>,) {
    fn answer(self) -> Answer {
        Answer::Bytes(self.0)
    }
}

impl Returned for (Option<Vec<u8>>,) {
    fn answer(self) -> Answer {
        self.0.map_or(Answer::Value(Some(Val::Option(None))), Answer::Bytes)
    }
}

impl Returned for (std::result::Result<Vec<u8>, ()>,) {
    fn answer(self) -> Answer {
        self.0.map_or_else(|()| Answer::Value(Some(Val::Result(Err(None)))), Answer::Bytes)
    }
}

impl Returned for (std::result::Result<Vec<u8>, String>,) {
    fn answer(self) -> Answer {
        self.0.map_or_else(|error| Answer::Value(Some(failed(error))), Answer::Bytes)
    }
}

impl Returned for (std::result::Result<String, String>,) {
    fn answer(self) -> Answer {
        let text = |text: String| Some(Box::new(Val::String(text)));
        Answer::Value(Some(self.0.map_or_else(failed, |ok| Val::Result(Ok(text(ok))))))
    }
}

/// An error that says what it is.
fn failed(error: String) -> Val {
    Val::Result(Err(Some(Box::new(Val::String(error)))))
}
