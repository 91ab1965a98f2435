//! Values of all types to JSON and back, and what is said of lines that are no arguments.

use proptest::prelude::*;
use wasmtime::component::Val;

use super::integer::Integer;
use super::read::{self, single};
use super::shape::{Function, Shape};
use super::write::Writer;

fn written(shape: &Shape, value: &Val) -> String {
    let mut text = Vec::new();
    // As a part, so that a result is written with its case.
    Writer::new(&mut text, u64::MAX).value(Some(shape), Some(value)).expect("it is of its type");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// What comes back of a value.
fn there_and_back(shape: &Shape, value: &Val) -> Val {
    let text = written(shape, value);
    single(shape, text.as_bytes()).unwrap_or_else(|problem| panic!("{shape}: {text}: {}", problem.0))
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("[a-z]{1,3}(-[a-z0-9]{1,2})?", 1..5).prop_map(|names| names.into_iter().collect())
}

fn shapes() -> impl Strategy<Value = Shape> {
    use Integer::{S8, S16, S32, S64, U8, U16, U32, U64};
    let leaves = prop_oneof![
        Just(Shape::Bool),
        prop::sample::select(vec![S8, U8, S16, U16, S32, U32, S64, U64]).prop_map(Shape::Integer),
        Just(Shape::Float32),
        Just(Shape::Float64),
        Just(Shape::Char),
        Just(Shape::String),
        Just(Shape::Bytes),
        names().prop_map(Shape::Enum),
        names().prop_map(Shape::Flags),
    ];
    leaves.prop_recursive(4, 24, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let named = (names(), prop::collection::vec(inner.clone(), 4));
        let cases = (names(), prop::collection::vec(prop::option::of(inner.clone()), 4));
        prop_oneof![
            inner.clone().prop_map(Shape::list_of),
            boxed().prop_map(Shape::Option),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::Tuple),
            named.prop_map(|(names, shapes)| Shape::Record(names.into_iter().zip(shapes).collect())),
            cases.prop_map(|(names, shapes)| Shape::Variant(names.into_iter().zip(shapes).collect())),
            (prop::option::of(boxed()), prop::option::of(boxed())).prop_map(|(ok, err)| Shape::Result { ok, err }),
        ]
    })
}

fn maybe(shape: Option<&Shape>) -> BoxedStrategy<Option<Box<Val>>> {
    match shape {
        Some(shape) => values(shape).prop_map(|value| Some(Box::new(value))).boxed(),
        None => Just(None).boxed(),
    }
}

fn values(shape: &Shape) -> BoxedStrategy<Val> {
    match shape {
        Shape::Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        Shape::Integer(Integer::S8) => any::<i8>().prop_map(Val::S8).boxed(),
        Shape::Integer(Integer::U8) => any::<u8>().prop_map(Val::U8).boxed(),
        Shape::Integer(Integer::S16) => any::<i16>().prop_map(Val::S16).boxed(),
        Shape::Integer(Integer::U16) => any::<u16>().prop_map(Val::U16).boxed(),
        Shape::Integer(Integer::S32) => any::<i32>().prop_map(Val::S32).boxed(),
        Shape::Integer(Integer::U32) => any::<u32>().prop_map(Val::U32).boxed(),
        Shape::Integer(Integer::S64) => any::<i64>().prop_map(Val::S64).boxed(),
        Shape::Integer(Integer::U64) => any::<u64>().prop_map(Val::U64).boxed(),
        Shape::Float32 => any::<u32>().prop_map(|bits| Val::Float32(f32::from_bits(bits))).boxed(),
        Shape::Float64 => any::<u64>().prop_map(|bits| Val::Float64(f64::from_bits(bits))).boxed(),
        Shape::Char => any::<char>().prop_map(Val::Char).boxed(),
        Shape::String => any::<String>().prop_map(Val::String).boxed(),
        Shape::Bytes => list(Shape::Integer(Integer::U8)),
        Shape::List(element) => list((**element).clone()),
        Shape::Tuple(parts) => parts.iter().map(values).collect::<Vec<_>>().prop_map(Val::Tuple).boxed(),
        Shape::Record(fields) => {
            let names: Vec<String> = fields.iter().map(|field| field.0.clone()).collect();
            let fields: Vec<_> = fields.iter().map(|field| values(&field.1)).collect();
            fields.prop_map(move |values| Val::Record(names.iter().cloned().zip(values).collect())).boxed()
        }
        Shape::Variant(cases) => {
            let of = |(name, shape): &(String, Option<Shape>)| {
                let name = name.clone();
                maybe(shape.as_ref()).prop_map(move |value| Val::Variant(name.clone(), value)).boxed()
            };
            prop::strategy::Union::new(cases.iter().map(of)).boxed()
        }
        Shape::Enum(names) => prop::sample::select(names.clone()).prop_map(Val::Enum).boxed(),
        Shape::Flags(names) => prop::sample::subsequence(names.clone(), 0..=names.len()).prop_map(Val::Flags).boxed(),
        Shape::Option(inner) => prop_oneof![Just(Val::Option(None)), maybe(Some(inner)).prop_map(Val::Option)].boxed(),
        Shape::Result { ok, err } => prop_oneof![
            maybe(ok.as_deref()).prop_map(|value| Val::Result(Ok(value))),
            maybe(err.as_deref()).prop_map(|value| Val::Result(Err(value))),
        ]
        .boxed(),
    }
}

fn list(element: Shape) -> BoxedStrategy<Val> {
    prop::collection::vec(values(&element), 0..4).prop_map(Val::List).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_comes_back(
        (shape, value) in shapes().prop_flat_map(|shape| { let values = values(&shape); (Just(shape), values) })
    ) {
        prop_assert_eq!(there_and_back(&shape, &value), value);
    }

    /// Whatever the bytes are, the answer is arguments or a problem, and arguments are of their types.
    #[test]
    fn no_line_is_too_much(shape in shapes(), line in prop::collection::vec(any::<u8>(), 0..64)) {
        let function = Function { params: vec![("x".into(), shape.clone())], result: None };
        let mut arguments = Vec::new();
        if read::arguments(&function, &line, 1 << 20, &mut arguments).is_ok() {
            prop_assert_eq!(&there_and_back(&shape, &arguments[0]), &arguments[0]);
        }
    }

    /// The same for lines that nearly are arguments.
    #[test]
    fn no_changed_line_is_too_much(
        (shape, value) in shapes().prop_flat_map(|shape| { let values = values(&shape); (Just(shape), values) }),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"[]{}\",:0-\\ un".to_vec()),
    ) {
        let function = Function { params: vec![("x".into(), shape.clone())], result: None };
        let mut line = format!("[{}]", written(&shape, &value)).into_bytes();
        let at = at.index(line.len());
        line[at] = byte;
        let mut arguments = Vec::new();
        if read::arguments(&function, &line, 1 << 20, &mut arguments).is_ok() {
            prop_assert_eq!(&there_and_back(&shape, &arguments[0]), &arguments[0]);
        }
    }
}

#[test]
fn floating_point_numbers_keep_all_bits() {
    // Steps that meet every exponent and, over the run, all sorts of digits.
    for index in 0..100_000_u32 {
        let single = Val::Float32(f32::from_bits(index.wrapping_mul(42_943)));
        assert_eq!(there_and_back(&Shape::Float32, &single), single);
        let double = Val::Float64(f64::from_bits(u64::from(index).wrapping_mul(184_467_440_737_095)));
        assert_eq!(there_and_back(&Shape::Float64, &double), double);
    }
    let edges = [f64::MAX, f64::MIN_POSITIVE, 5e-324, -0.0, 0.0, f64::NAN, f64::INFINITY];
    for value in edges.into_iter().flat_map(|value| [value, -value]) {
        assert_eq!(there_and_back(&Shape::Float64, &Val::Float64(value)), Val::Float64(value));
    }
}

fn record(fields: &[(&str, Shape)]) -> Shape {
    Shape::Record(fields.iter().map(|(name, shape)| ((*name).to_owned(), shape.clone())).collect())
}

fn option(inner: Shape) -> Shape {
    Shape::Option(Box::new(inner))
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn point() -> Shape {
    record(&[("x", Shape::Float64), ("label", option(Shape::String))])
}

fn form() -> Shape {
    let circle = ("circle".to_owned(), Some(Shape::Float64));
    Shape::Variant(vec![circle, ("nothing".to_owned(), None)])
}

const U8: Shape = Shape::Integer(Integer::U8);
const U32: Shape = Shape::Integer(Integer::U32);
const U64: Shape = Shape::Integer(Integer::U64);

/// What is read of a line by a function with parameters `a`, `b`, ….
fn arguments(params: &[Shape], line: &str) -> Result<Vec<Val>, String> {
    arguments_of_bytes(params, line.as_bytes())
}

fn arguments_of_bytes(params: &[Shape], line: &[u8]) -> Result<Vec<Val>, String> {
    let names = ('a'..).map(String::from);
    let function = Function { params: names.zip(params.iter().cloned()).collect(), result: None };
    let mut arguments = Vec::new();
    read::arguments(&function, line, 1 << 20, &mut arguments).map_err(|problem| problem.0)?;
    Ok(arguments)
}

#[test]
fn the_types_decide_what_a_line_is() {
    let u32s = |numbers: &[u32]| numbers.iter().map(|number| Val::U32(*number)).collect::<Vec<_>>();
    // An array is the list of arguments …
    assert_eq!(arguments(&[U32, U32], " [ 1 , 2 ]\r"), Ok(u32s(&[1, 2])));
    assert_eq!(arguments(&[U32], "[1]"), Ok(u32s(&[1])));
    assert_eq!(arguments(&[], "[]"), Ok(vec![]));
    assert_eq!(arguments(&[], "{}"), Ok(vec![]));
    // … also when the only argument is one.
    assert_eq!(arguments(&[Shape::list_of(U32)], "[[1,2]]"), Ok(vec![Val::List(u32s(&[1, 2]))]));
    assert_eq!(arguments(&[Shape::Bytes], "[\"AQI\"]"), Ok(vec![Val::List(vec![Val::U8(1), Val::U8(2)])]));
    // An object is the arguments by name …
    assert_eq!(arguments(&[U32, U32], "{\"b\":2,\"a\":1}"), Ok(u32s(&[1, 2])));
    assert_eq!(arguments(&[U32], "{\"a\":1}"), Ok(u32s(&[1])));
    let circle = Val::Variant("circle".into(), Some(Box::new(Val::Float64(1.5))));
    assert_eq!(arguments(&[form()], "{\"a\":{\"circle\":1.5}}"), Ok(vec![circle.clone()]));
    assert_eq!(arguments(&[form()], "[{\"circle\":1.5}]"), Ok(vec![circle]));
    // … but for a single record, where it is that.
    let at = |x, label: Option<&str>| {
        let label = Val::Option(label.map(|label| Box::new(Val::String(label.into()))));
        Val::Record(vec![("x".into(), Val::Float64(x)), ("label".into(), label)])
    };
    assert_eq!(arguments(&[point()], "{\"label\":\"p\",\"x\":2}"), Ok(vec![at(2.0, Some("p"))]));
    assert_eq!(arguments(&[point()], "[{\"x\":2}]"), Ok(vec![at(2.0, None)]));
    assert_eq!(arguments(&[point(), U32], "{\"b\":1,\"a\":{\"x\":2}}"), Ok(vec![at(2.0, None), Val::U32(1)]));
    // Anything else is the single argument.
    assert_eq!(arguments(&[U32], "7"), Ok(u32s(&[7])));
    assert_eq!(arguments(&[option(U32)], "null"), Ok(vec![Val::Option(None)]));
    assert_eq!(arguments(&[Shape::Bytes], "\"AQ==\""), Ok(vec![Val::List(vec![Val::U8(1)])]));
    // Optional arguments may be left out.
    let two = [U32, option(U32)];
    let none = vec![Val::U32(1), Val::Option(None)];
    assert_eq!(arguments(&two, "[1]"), Ok(none.clone()));
    assert_eq!(arguments(&two, "{\"a\":1}"), Ok(none));
}

#[test]
fn all_forms_of_a_value_are_read() {
    let cases = [
        (form(), "{\"nothing\":null}", "\"nothing\""),
        (Shape::Bytes, "[1, 2,3]", "\"AQID\""),
        (Shape::Float64, "1e2", "100.0"),
        (Shape::Float64, "-0", "-0.0"),
        (Shape::Float32, "0.1", "0.1"),
        (Shape::Float32, "1e-60", "0.0"),
        (Shape::Float64, "\"-Infinity\"", "\"-Infinity\""),
        (U64, "18446744073709551615", "18446744073709551615"),
        (Shape::Integer(Integer::S64), "-9223372036854775808", "-9223372036854775808"),
        (U8, "-0", "0"),
        (Shape::Char, "\"\\ud83d\\ude00\"", "\"😀\""),
        (Shape::String, "\"\\u0000\\u001f\\b\\f\\/\\\"\\\\\\n\"", "\"\\u0000\\u001f\\u0008\\u000c/\\\"\\\\\\n\""),
        (Shape::Flags(strings(&["a", "b"])), "[]", "[]"),
        (option(option(U8)), "null", "null"),
        (option(option(U8)), "{\"some\":null}", "{\"some\":null}"),
        (option(option(U8)), "{\"some\":1}", "{\"some\":1}"),
        (Shape::Result { ok: None, err: Some(Box::new(Shape::String)) }, "\"ok\"", "\"ok\""),
        (Shape::Result { ok: None, err: Some(Box::new(Shape::String)) }, "{\"ok\":null}", "\"ok\""),
        (Shape::Result { ok: None, err: Some(Box::new(Shape::String)) }, "{\"err\":\"e\"}", "{\"err\":\"e\"}"),
    ];
    for (shape, line, wanted) in cases {
        let value = single(&shape, line.as_bytes()).unwrap_or_else(|problem| panic!("{line}: {}", problem.0));
        assert_eq!(written(&shape, &value), wanted, "{line}");
    }
}

/// What is said of everything that is wrong, word for word.
#[test]
fn every_mistake_has_its_message() {
    let red = || Shape::Enum(strings(&["red", "green"]));
    let pair = || Shape::Tuple(vec![U8, Shape::Bool]);
    let long = format!("\"{}\"", "x".repeat(100_000));
    let deep = "[".repeat(100_000);
    let cases: Vec<(Vec<Shape>, &str, &str)> = vec![
        // Numbers.
        (vec![U8], "300", "argument a: expected u8, a whole number from 0 to 255, but 300 came"),
        (vec![U8], "-1", "argument a: expected u8, a whole number from 0 to 255, but -1 came"),
        (
            vec![U32],
            "1.0",
            "argument a: expected u32, a whole number from 0 to 4294967295, but 1.0, with a fraction or an exponent, came",
        ),
        (
            vec![U32],
            "1e3",
            "argument a: expected u32, a whole number from 0 to 4294967295, but 1e3, with a fraction or an exponent, came",
        ),
        (
            vec![U64],
            "18446744073709551616",
            "argument a: expected u64, a whole number from 0 to 18446744073709551615, but 18446744073709551616 came",
        ),
        (vec![U32], "\"7\"", "argument a: expected u32, but the string \"7\" came"),
        (vec![U32], "null", "argument a: expected u32, but null came"),
        (
            vec![Shape::Float64],
            "1e999999999999",
            "argument a: expected f64, a number, but 1e999999999999, which is out of its range, came",
        ),
        (vec![Shape::Float32], "1e39", "argument a: expected f32, a number, but 1e39, which is out of its range, came"),
        (
            vec![Shape::Float32],
            "\"nan\"",
            "argument a: expected f32, a number or one of \"NaN\", \"Infinity\", \"-Infinity\", but the string \"nan\" came",
        ),
        (vec![Shape::Float64], "NaN", "this is not JSON, at byte 0: unexpected char: 'N'"),
        (vec![U8], "01", "this is not JSON, at byte 1: the JSON already contains one root element"),
        (vec![option(U8)], "\"x\"", "argument a: expected u8, but the string \"x\" came; null is allowed, too"),
        // Names.
        (vec![point()], "{\"x\":1,\"x\":2}", "argument a.x: it is there twice"),
        (vec![point()], "{\"label\":\"p\"}", "argument a.x: it is missing; it is a f64"),
        (
            vec![point()],
            "{\"x\":1,\"lable\":\"\"}",
            "argument a: there is no field \"lable\"; there are x, label; did you mean label?",
        ),
        (vec![U8, U8], "{\"a\":1,\"a\":1}", "argument a: it is there twice"),
        (vec![U8, U8], "{\"a\":1}", "argument b: it is missing; it is a u8"),
        (vec![U8, U8], "{\"a\":1,\"c\":1}", "there is no argument \"c\"; there are a, b"),
        (
            vec![form()],
            "{\"circle\":1}",
            "there is no argument \"circle\"; there are a; an object is always the arguments by name: the one argument a is written [{…}]",
        ),
        (vec![red()], "\"rde\"", "argument a: expected one of red, green, but \"rde\" came"),
        (vec![red()], "\"gren\"", "argument a: expected one of red, green, but \"gren\" came; did you mean green?"),
        (vec![red()], "1", "argument a: expected one of red, green, but 1 came"),
        (vec![form()], "\"circle\"", "argument a: case circle has a value: write {\"circle\": …} with a f64"),
        (vec![form()], "[{\"nothing\":1}]", "argument a: case nothing has no value: write \"nothing\""),
        (
            vec![form()],
            "[{\"circle\":1,\"nothing\":null}]",
            "argument a: it is one case of a variant { circle(f64), nothing }, but a second one came after circle",
        ),
        (vec![form()], "[{}]", "argument a: expected an object with one of circle, nothing, but an empty one came"),
        (vec![Shape::Flags(strings(&["a", "b"]))], "[[\"a\",\"a\"]]", "argument a[1]: a is there twice"),
        (vec![Shape::Flags(strings(&["a", "b"]))], "[[\"c\"]]", "argument a[0]: expected one of a, b, but \"c\" came"),
        // Arrays.
        (
            vec![Shape::list_of(Shape::String)],
            "[\"a\",\"b\"]",
            "argument a: expected an array, a list<string>, but the string \"a\" came; an array is always the list of arguments: the one argument a, a list, is written [[…]]",
        ),
        (
            vec![Shape::list_of(Shape::String)],
            "[]",
            "expected 1 argument, but 0 came; an array is always the list of arguments: the one argument a, a list, is written [[…]]",
        ),
        (vec![Shape::list_of(Shape::String)], "[[\"a\",1]]", "argument a[1]: expected a string, but 1 came"),
        (
            vec![pair()],
            "[1,true]",
            "argument a: expected an array of 2 values, but 1 came; an array is always the list of arguments: the one argument a, a tuple, is written [[…]]",
        ),
        (vec![pair()], "[[1]]", "argument a: expected an array of 2 values, but 1 came"),
        (vec![pair()], "[[1,true,1]]", "argument a: expected an array of 2 values, but more came"),
        (vec![U8, U8], "[1]", "expected 2 arguments, but 1 came"),
        (vec![U8, U8], "[1,2,3]", "expected 2 arguments, but more came"),
        (vec![U8, U8], "1", "expected an array of 2 arguments, or an object with them by name, but 1 came"),
        (vec![], "1", "expected [], since the function takes no arguments, but 1 came"),
        (vec![], "[1]", "the function takes no arguments: write []"),
        (vec![], "{\"a\":1}", "there is no argument \"a\"; there are no arguments"),
        (
            vec![Shape::Bytes],
            "\"A\"",
            "argument a: expected an array of bytes or a base64 string, but a string: a base64 text cannot have 1 letters, came",
        ),
        (
            vec![Shape::Bytes],
            "\"A?==\"",
            "argument a: expected an array of bytes or a base64 string, but a string: '?' at byte 1 is no letter of base64, came",
        ),
        (vec![Shape::Bytes], "[[256]]", "argument a[0]: expected u8, a whole number from 0 to 255, but 256 came"),
        // Texts.
        (vec![Shape::Char], "\"ab\"", "argument a: expected a string of one character, but the string \"ab\" came"),
        (vec![Shape::Char], "\"\"", "argument a: expected a string of one character, but the string \"\" came"),
        (vec![Shape::String], "\"\\ud800\"", "the escape \\ud800 is half of a character, without its other half"),
        (
            vec![Shape::String],
            "\"\\ud800\\u0041\"",
            "the escape \\ud800 is half of a character, without its other half",
        ),
        (vec![Shape::String], "\"\\udc00x\"", "the escape \\udc00 is half of a character, without its other half"),
        (vec![Shape::String], "\"abc", "this is not JSON, at byte 0: unexpected end of file"),
        (
            vec![U8],
            &long,
            "argument a: expected u8, but the string \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… (100000 bytes)\" came",
        ),
        (vec![U8], &deep, "argument a: expected u8, but an array came"),
        // Lines.
        (vec![U8], "", "the line is empty, but the arguments were expected"),
        (vec![U8], " \r", "the line is empty, but the arguments were expected"),
        (vec![U8], "1 2", "this is not JSON, at byte 2: the JSON already contains one root element"),
        (vec![U8], "[1,]", "this is not JSON, at byte 3: trailing commas are not allowed"),
        (vec![U8], "{a:1}", "this is not JSON, at byte 1: unexpected char: 'a'"),
    ];
    let mut others = Vec::new();
    for (params, line, wanted) in cases {
        let said = arguments(&params, line).expect_err(line);
        if said != wanted {
            others.push(format!("{said}\n    instead of: {wanted}"));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
    let said = arguments_of_bytes(&[Shape::String], b"\"ab\xffc\"").expect_err("no UTF-8");
    assert_eq!(said, "the line is not UTF-8, from byte 3");
}

#[test]
fn a_place_deep_inside_is_named() {
    let corner = record(&[("at", Shape::Tuple(vec![U8, U8]))]);
    let shape = record(&[("corners", Shape::list_of(corner))]);
    let said = arguments(&[shape], "{\"corners\":[{\"at\":[1,2]},{\"at\":[1,-2]}]}").expect_err("negative");
    assert!(said.starts_with("argument a.corners[1].at[1]: expected u8"), "{said}");
}

#[test]
fn values_have_only_so_much_room() {
    let bits = format!("[[{}1]]", "1,".repeat(100_000));
    let said = arguments(&[Shape::Bytes], &bits).expect_err("too many");
    assert!(said.contains("more values in the line than there is room for"), "{said}");
    let base64 = format!("\"{}\"", "A".repeat(400_000));
    assert!(arguments(&[Shape::Bytes], &base64).is_err());
    let deep = (0..20).fold(U8, |inner, _| option(inner));
    let nest = format!("{}1{}", "{\"some\":".repeat(19), "}".repeat(19));
    let nests = format!("[[{}{nest}]]", format!("{nest},").repeat(1000));
    assert!(arguments(&[Shape::list_of(deep)], &nests).is_err());
    let long = Shape::Enum(vec!["a".repeat(1000)]);
    let names = format!("[[{0}\"{1}\"]]", format!("\"{}\",", "a".repeat(1000)).repeat(1100), "a".repeat(1000));
    assert!(arguments(&[Shape::list_of(long)], &names).is_err());
    let text = format!("\"{}\"", "A".repeat(2 << 20));
    assert!(arguments(&[Shape::String], &text).is_err());
    let text = format!("\"{}\"", "A".repeat(1 << 19));
    assert!(arguments(&[Shape::String], &text).is_ok());
}

#[test]
fn results_have_a_limit() {
    use taskhost_protocol::fault::Fault;
    let long = Val::String("\u{1}".repeat(100_000));
    let many = Val::List(vec![Val::U8(1); 100_000]);
    for (shape, value) in [(Shape::String, &long), (Shape::Bytes, &many), (Shape::List(Box::new(U8)), &many)] {
        let mut text = Vec::new();
        let result = Writer::new(&mut text, 10_000).result(Some(&shape), Some(value));
        assert!(matches!(result, Err(Fault::OutputLimit { limit: 10_000, .. })), "{result:?}");
        assert!(text.len() < 70_000, "it stops soon");
    }
}
