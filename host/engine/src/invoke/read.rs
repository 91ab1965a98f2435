//! From a line of JSON to the arguments of a function, by its types. The reader makes no tree of the line: the value
//! that a type wants is made of the tokens as they come, and the first token that does not fit ends it. So it recurses
//! as deep as the types do, which is bounded, and not as deep as the line.

use json_event_parser::JsonEvent as Token;
use wasmtime::component::Val;

use super::base64;
use super::integer::{Integer, NoInteger};
use super::problem::{Path, Problem, meant, shown, some};
use super::shape::{Function, Shape};
use super::tokens::{Reader, came};

/// Names shown in a message.
const SHOWN: usize = 8;

/// What a value in a list takes in the host, with the room that a list keeps for more.
const ELEMENT: usize = 2 * size_of::<Val>();

/// What a byte takes in a list of bytes, with that room.
const BYTE: usize = 2;

/// As messages name what a `list<u8>` is written as.
const BYTES: &str = "an array of bytes or a base64 string";

/// Puts the arguments in `line` into `arguments`. `room` is how many bytes they may take in the host.
pub(crate) fn arguments(function: &Function, line: &[u8], room: u64, arguments: &mut Vec<Val>) -> Result<(), Problem> {
    all(function, &mut Reader::new(line, room), arguments)
}

/// The same for a function of which at most one parameter has bytes, and is nothing but bytes: they go into `bytes`, and an
/// empty list stands in their place.
pub(super) fn arguments_with_bytes(
    function: &Function,
    line: &[u8],
    room: u64,
    arguments: &mut Vec<Val>,
    bytes: &mut Vec<u8>,
) -> Result<(), Problem> {
    bytes.clear();
    let mut reader = Reader::new(line, room);
    reader.aside = Some(std::mem::take(bytes));
    let outcome = all(function, &mut reader, arguments);
    // What is kept from call to call is what a call needed that was made.
    *bytes = reader.aside.filter(|_| outcome.is_ok()).unwrap_or_default();
    outcome
}

fn all(function: &Function, reader: &mut Reader<'_>, arguments: &mut Vec<Val>) -> Result<(), Problem> {
    arguments.clear();
    let params = function.params.as_slice();
    match (reader.next(&Path::Line)?, params) {
        (Token::StartArray, _) => reader.listed(params, arguments)?,
        (token @ Token::StartObject, [(name, only @ Shape::Record(_))]) => {
            arguments.push(reader.value(only, token, &Path::Argument(name))?);
        }
        (Token::StartObject, _) => reader.named(params, arguments)?,
        (token, [(name, only)]) => arguments.push(reader.value(only, token, &Path::Argument(name))?),
        (token, []) => return Err(Path::Line.expected("[], since the function takes no arguments", came(&token))),
        (token, _) => {
            let wanted = format!("an array of {} arguments, or an object with them by name", params.len());
            return Err(Path::Line.expected(wanted, came(&token)));
        }
    }
    // Anything but the end is an error of the syntax.
    reader.next(&Path::Line).map(drop)
}

/// One value of a type, and nothing else.
#[cfg(test)]
pub(crate) fn single(shape: &Shape, text: &[u8]) -> Result<Val, Problem> {
    let mut reader = Reader::new(text, u64::MAX);
    let token = reader.next(&Path::Line)?;
    let value = reader.value(shape, token, &Path::Line)?;
    reader.next(&Path::Line)?;
    Ok(value)
}

impl<'a> Reader<'a> {
    /// Arguments one after the other, to the end of the array.
    fn listed(&mut self, params: &[(String, Shape)], arguments: &mut Vec<Val>) -> Result<(), Problem> {
        let single_array = matches!(params, [(_, only)] if only.is_array());
        let advise = |problem: Problem| match params {
            [(name, only)] if single_array => problem.with(&format!(
                "an array is always the list of arguments: the one argument {name}, a {}, is written [[…]]",
                kind(only)
            )),
            _ => problem,
        };
        for (name, shape) in params {
            let path = Path::Argument(name);
            let token = self.next(&path)?;
            if token == Token::EndArray {
                let given = arguments.len();
                let problem = || advise(Path::Line.expected(count(params.len()), given));
                return fill(params, arguments).map_err(|_| problem());
            }
            let is_array = token == Token::StartArray;
            let value = self.value(shape, token, &path);
            arguments.push(value.map_err(|problem| if is_array { problem } else { advise(problem) })?);
        }
        match self.next(&Path::Line)? {
            Token::EndArray => Ok(()),
            _ if params.is_empty() => Err(Path::Line.problem("the function takes no arguments: write []")),
            _ => Err(advise(Path::Line.expected(count(params.len()), "more"))),
        }
    }

    /// Arguments by name, to the end of the object.
    fn named(&mut self, params: &[(String, Shape)], arguments: &mut Vec<Val>) -> Result<(), Problem> {
        let fields = self.fields("argument", params, &Path::Line, Path::Argument);
        let fields = fields.map_err(|problem| match params {
            [(name, Shape::Variant(_) | Shape::Result { .. } | Shape::Option(_))] => problem.with(&format!(
                "an object is always the arguments by name: the one argument {name} is written [{{…}}]"
            )),
            _ => problem,
        })?;
        arguments.extend(fields);
        Ok(())
    }

    /// The values of an object's keys, to its end, in the order of `fields`.
    fn fields<'p>(
        &mut self,
        what: &str,
        fields: &'p [(String, Shape)],
        path: &'p Path<'p>,
        inner: impl Fn(&'p str) -> Path<'p>,
    ) -> Result<Vec<Val>, Problem> {
        let mut values: Vec<Option<Val>> = vec![None; fields.len()];
        let mut next = 0;
        loop {
            let key = match self.next(path)? {
                Token::ObjectKey(key) => key,
                Token::EndObject => break,
                token => return Err(path.expected(format!("the name of a {what}"), came(&token))),
            };
            // Most lines have them in order.
            let index = match fields.get(next) {
                Some((name, _)) if *name == key => next,
                _ => {
                    fields.iter().position(|(name, _)| *name == key).ok_or_else(|| unknown(what, &key, fields, path))?
                }
            };
            next = index + 1;
            let (Some((name, shape)), Some(value)) = (fields.get(index), values.get_mut(index)) else { continue };
            let path = inner(name);
            if value.is_some() {
                return Err(path.problem("it is there twice"));
            }
            let token = self.next(&path)?;
            *value = Some(self.value(shape, token, &path)?);
        }
        let all = values.into_iter().zip(fields).map(|(value, (name, shape))| match (value, shape) {
            (Some(value), _) => Ok(value),
            (None, Shape::Option(_)) => Ok(Val::Option(None)),
            (None, shape) => Err(inner(name).problem(format!("it is missing; it is a {shape}"))),
        });
        all.collect()
    }

    /// The value that begins with this token.
    fn value(&mut self, shape: &Shape, token: Token<'a>, path: &Path<'_>) -> Result<Val, Problem> {
        match shape {
            Shape::Bool => match token {
                Token::Boolean(value) => Ok(Val::Bool(value)),
                other => Err(path.expected("true or false", came(&other))),
            },
            Shape::Integer(integer) => whole(*integer, &token, path),
            Shape::Float32 => float(token, "f32", path).map(Val::Float32),
            Shape::Float64 => float(token, "f64", path).map(Val::Float64),
            Shape::Char => match token {
                Token::String(text) => {
                    let mut letters = text.chars();
                    match (letters.next(), letters.next()) {
                        (Some(letter), None) => Ok(Val::Char(letter)),
                        _ => Err(path.expected("a string of one character", came(&Token::String(text)))),
                    }
                }
                other => Err(path.expected("a string of one character", came(&other))),
            },
            Shape::String => match token {
                Token::String(text) => {
                    self.take(text.len(), path)?;
                    Ok(Val::String(text.into_owned()))
                }
                other => Err(path.expected("a string", came(&other))),
            },
            Shape::Bytes => self.bytes(token, path),
            Shape::List(element) => self.list(element, token, path),
            Shape::Tuple(parts) => self.tuple(parts, token, path),
            Shape::Record(fields) => match token {
                Token::StartObject => {
                    let names: usize = fields.iter().map(|(name, _)| name.len()).sum();
                    self.take(names + fields.len() * ELEMENT, path)?;
                    let values = self.fields("field", fields, path, |name| path.field(name))?;
                    Ok(Val::Record(fields.iter().map(|(name, _)| name.clone()).zip(values).collect()))
                }
                other => Err(path.expected(format!("an object, a {shape}"), came(&other))),
            },
            Shape::Variant(cases) => {
                let (index, payload) =
                    self.case(cases.len(), |index| (&*cases[index].0, cases[index].1.as_ref()), shape, token, path)?;
                Ok(Val::Variant(cases[index].0.clone(), payload))
            }
            Shape::Result { ok, err } => {
                let cases = [("ok", ok.as_deref()), ("err", err.as_deref())];
                let (index, payload) = self.case(2, |index| cases[index], shape, token, path)?;
                Ok(Val::Result(if index == 0 { Ok(payload) } else { Err(payload) }))
            }
            Shape::Enum(names) => match token {
                Token::String(name) => {
                    let name = one_of(&name, names, path)?;
                    self.take(name.len(), path)?;
                    Ok(Val::Enum(name.to_owned()))
                }
                other => Err(path.expected(choice(names.iter().map(String::as_str)), came(&other))),
            },
            Shape::Flags(names) => self.flags(names, token, path),
            Shape::Option(inner) => match token {
                Token::Null => Ok(Val::Option(None)),
                token if inner.has_null() => {
                    let (_, payload) = self.case(1, |_| ("some", Some(inner)), shape, token, path)?;
                    Ok(Val::Option(payload))
                }
                token => {
                    self.take(ELEMENT, path)?;
                    let value = self.value(inner, token, path).map_err(|problem| match **inner {
                        Shape::Record(_) | Shape::List(_) | Shape::Tuple(_) => problem,
                        _ => problem.with("null is allowed, too"),
                    })?;
                    Ok(Val::Option(Some(Box::new(value))))
                }
            },
        }
    }

    /// `list<u8>`: numbers, or base64.
    fn bytes(&mut self, token: Token<'a>, path: &Path<'_>) -> Result<Val, Problem> {
        if let Some(mut aside) = self.aside.take() {
            let outcome = self.bytes_aside(token, path, &mut aside);
            self.aside = Some(aside);
            return outcome.map(|()| Val::List(Vec::new()));
        }
        match token {
            Token::StartArray => self.list(&Shape::Integer(Integer::U8), token, path),
            Token::String(text) => {
                let most = text.len() / 4 * 3 + 3;
                self.take(most * size_of::<Val>(), path)?;
                let mut values = Vec::with_capacity(most);
                base64::decode(&text, |byte| values.push(Val::U8(byte))).map_err(|why| no_base64(&why, path))?;
                Ok(Val::List(values))
            }
            other => Err(path.expected(BYTES, came(&other))),
        }
    }

    /// The same, with nothing but the bytes.
    fn bytes_aside(&mut self, token: Token<'a>, path: &Path<'_>, bytes: &mut Vec<u8>) -> Result<(), Problem> {
        match token {
            Token::StartArray => loop {
                let path = path.element(bytes.len());
                match self.next(&path)? {
                    Token::EndArray => return Ok(()),
                    token => {
                        self.take(BYTE, &path)?;
                        if let Val::U8(byte) = whole(Integer::U8, &token, &path)? {
                            bytes.push(byte);
                        }
                    }
                }
            },
            Token::String(text) => {
                let most = text.len() / 4 * 3 + 3;
                self.take(most, path)?;
                bytes.reserve(most);
                base64::decode(&text, |byte| bytes.push(byte)).map_err(|why| no_base64(&why, path))
            }
            other => Err(path.expected(BYTES, came(&other))),
        }
    }

    fn list(&mut self, element: &Shape, token: Token<'a>, path: &Path<'_>) -> Result<Val, Problem> {
        if token != Token::StartArray {
            return Err(path.expected(format!("an array, a list<{element}>"), came(&token)));
        }
        let mut values = Vec::new();
        loop {
            let path = path.element(values.len());
            match self.next(&path)? {
                Token::EndArray => return Ok(Val::List(values)),
                token => {
                    self.take(ELEMENT, &path)?;
                    values.push(self.value(element, token, &path)?);
                }
            }
        }
    }

    fn tuple(&mut self, parts: &[Shape], token: Token<'a>, path: &Path<'_>) -> Result<Val, Problem> {
        let wanted = || format!("an array of {} values", parts.len());
        if token != Token::StartArray {
            return Err(path.expected(wanted(), came(&token)));
        }
        self.take(parts.len() * ELEMENT, path)?;
        let mut values = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let inner = path.element(index);
            match self.next(&inner)? {
                Token::EndArray => return Err(path.expected(wanted(), index)),
                token => values.push(self.value(part, token, &inner)?),
            }
        }
        match self.next(path)? {
            Token::EndArray => Ok(Val::Tuple(values)),
            _ => Err(path.expected(wanted(), "more")),
        }
    }

    /// One of several cases: `"name"`, or `{"name": value}` for one that has a value.
    fn case<'p>(
        &mut self,
        count: usize,
        case: impl Fn(usize) -> (&'p str, Option<&'p Shape>),
        shape: &Shape,
        token: Token<'a>,
        path: &Path<'_>,
    ) -> Result<(usize, Option<Box<Val>>), Problem> {
        let names = || (0..count).map(|index| case(index).0);
        let find = |name: &str| {
            let index = names().position(|known| known == name);
            index.ok_or_else(|| not_one_of(name, names(), path))
        };
        match token {
            Token::String(name) => {
                let index = find(&name)?;
                self.take(name.len(), path)?;
                match case(index) {
                    (_, None) => Ok((index, None)),
                    (name, Some(payload)) => {
                        Err(path.problem(format!("case {name} has a value: write {{\"{name}\": …}} with a {payload}")))
                    }
                }
            }
            Token::StartObject => {
                let name = match self.next(path)? {
                    Token::ObjectKey(name) => name,
                    _ => return Err(path.expected(format!("an object with {}", choice(names())), "an empty one")),
                };
                let index = find(&name)?;
                let (name, payload) = case(index);
                let inner = path.field(name);
                self.take(ELEMENT + name.len(), path)?;
                let value = match (self.next(&inner)?, payload) {
                    (token, Some(payload)) => Some(Box::new(self.value(payload, token, &inner)?)),
                    (Token::Null, None) => None,
                    (_, None) => return Err(path.problem(format!("case {name} has no value: write \"{name}\""))),
                };
                match self.next(path)? {
                    Token::EndObject => Ok((index, value)),
                    _ => Err(path.problem(format!("it is one case of a {shape}, but a second one came after {name}"))),
                }
            }
            other => Err(path.expected(choice(names()), came(&other))),
        }
    }

    fn flags(&mut self, names: &[String], token: Token<'a>, path: &Path<'_>) -> Result<Val, Problem> {
        if token != Token::StartArray {
            return Err(path.expected("an array of names", came(&token)));
        }
        let mut set: Vec<String> = Vec::new();
        loop {
            let path = path.element(set.len());
            match self.next(&path)? {
                Token::EndArray => return Ok(Val::Flags(set)),
                Token::String(name) => {
                    let name = one_of(&name, names, &path)?;
                    // No more than there are names, since each is there once.
                    if set.iter().any(|before| before == name) {
                        return Err(path.problem(format!("{name} is there twice")));
                    }
                    self.take(ELEMENT + name.len(), &path)?;
                    set.push(name.to_owned());
                }
                other => return Err(path.expected(choice(names.iter().map(String::as_str)), came(&other))),
            }
        }
    }
}

/// Optional arguments at the end may be left out.
fn fill(params: &[(String, Shape)], arguments: &mut Vec<Val>) -> Result<(), ()> {
    for (_, shape) in params.iter().skip(arguments.len()) {
        if !matches!(shape, Shape::Option(_)) {
            return Err(());
        }
        arguments.push(Val::Option(None));
    }
    Ok(())
}

/// A number without a fraction.
fn whole(integer: Integer, token: &Token<'_>, path: &Path<'_>) -> Result<Val, Problem> {
    let Token::Number(number) = token else { return Err(path.expected(integer.name(), came(token))) };
    integer.parse(number).map_err(|why| {
        let (least, most) = integer.range();
        let wanted = format!("{}, a whole number from {least} to {most}", integer.name());
        let number = shown(number);
        match why {
            NoInteger::OutOfRange => path.expected(wanted, number),
            NoInteger::Fraction => path.expected(wanted, format!("{number}, with a fraction or an exponent,")),
        }
    })
}

#[cold]
fn no_base64(why: &str, path: &Path<'_>) -> Problem {
    path.expected(BYTES, format!("a string: {why},"))
}

/// A number, or the name of a value that JSON has no number for. Out of range is what no finite number is near to.
fn float<T>(token: Token<'_>, name: &str, path: &Path<'_>) -> Result<T, Problem>
where
    T: std::str::FromStr + Copy + Into<f64>,
{
    let parsed = |text: &str| text.parse::<T>().map_err(|_| path.expected(name, shown(text)));
    match token {
        Token::Number(number) => {
            let value = parsed(&number)?;
            if value.into().is_finite() {
                Ok(value)
            } else {
                Err(path
                    .expected(format!("{name}, a number"), format!("{}, which is out of its range,", shown(&number))))
            }
        }
        Token::String(text) if matches!(&*text, "NaN" | "Infinity" | "-Infinity") => parsed(&text),
        other => {
            let wanted = format!("{name}, a number or one of \"NaN\", \"Infinity\", \"-Infinity\"");
            Err(path.expected(wanted, came(&other)))
        }
    }
}

fn one_of<'n>(name: &str, names: &'n [String], path: &Path<'_>) -> Result<&'n str, Problem> {
    let found = names.iter().find(|known| *known == name);
    found.map(String::as_str).ok_or_else(|| not_one_of(name, names.iter().map(String::as_str), path))
}

#[cold]
fn not_one_of<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone, path: &Path<'_>) -> Problem {
    let problem = path.expected(choice(names.clone()), format!("{:?}", shown(name)));
    match meant(name, names) {
        Some(near) => problem.with(&format!("did you mean {near}?")),
        None => problem,
    }
}

#[cold]
fn unknown(what: &str, key: &str, fields: &[(String, Shape)], path: &Path<'_>) -> Problem {
    let names = || fields.iter().map(|(name, _)| name.as_str());
    let known =
        if fields.is_empty() { format!("there are no {what}s") } else { format!("there are {}", some(names(), SHOWN)) };
    let problem = path.problem(format!("there is no {what} {:?}; {known}", shown(key)));
    match meant(key, names()) {
        Some(near) => problem.with(&format!("did you mean {near}?")),
        None => problem,
    }
}

fn choice<'n>(names: impl Iterator<Item = &'n str>) -> String {
    format!("one of {}", some(names, SHOWN))
}

fn count(arguments: usize) -> String {
    if arguments == 1 { "1 argument".into() } else { format!("{arguments} arguments") }
}

fn kind(shape: &Shape) -> &'static str {
    match shape {
        Shape::Tuple(_) => "tuple",
        Shape::Flags(_) => "set of flags",
        Shape::Option(inner) => kind(inner),
        _ => "list",
    }
}
