//! Which function a name means: as it is exported, or shorter when only one can be meant.

use taskhost_protocol::fault::Refusal;

use super::problem::{meant, some};

/// Names shown in a refusal.
const SHOWN: usize = 12;

/// The whole name of a function.
pub(crate) fn full(interface: Option<&str>, function: &str) -> String {
    match interface {
        Some(interface) => format!("{interface}#{function}"),
        None => function.to_owned(),
    }
}

/// A function by the interface that it belongs to, if any, and its name there.
pub(crate) type Name<'a> = (Option<&'a str>, &'a str);

/// Which of the functions is meant. These name `is-prime` of interface `math` in a package, the first one always:
/// `example:numbers/math@1.0.0#is-prime`, `example:numbers/math.is-prime@1.0.0`, `numbers/math.is-prime`,
/// `math.is-prime` and `is-prime`. A function that belongs to no interface wins over those that do.
pub(crate) fn find(wanted: &str, functions: &[Name<'_>]) -> Result<usize, Refusal> {
    let is_whole = |(interface, function): &Name<'_>| match interface {
        Some(interface) => wanted.strip_prefix(interface).and_then(|rest| rest.strip_prefix('#')) == Some(function),
        None => wanted == *function,
    };
    if let Some(index) = functions.iter().position(is_whole) {
        return Ok(index);
    }
    let split = split(wanted);
    let fits = |(interface, function): &Name<'_>| {
        *function == split.function
            && split
                .interface
                .is_none_or(|wanted| interface.is_some_and(|interface| is_short_for(wanted, split.version, interface)))
    };
    let found: Vec<usize> =
        functions.iter().enumerate().filter(|(_, name)| fits(name)).map(|(index, _)| index).collect();
    let list = |indices: &mut dyn Iterator<Item = usize>| {
        let names: Vec<String> =
            indices.filter_map(|index| functions.get(index)).map(|name| full(name.0, name.1)).collect();
        some(names.iter().map(String::as_str), SHOWN)
    };
    match found.as_slice() {
        [index] => Ok(*index),
        [] => {
            if functions.is_empty() {
                return Err(Refusal::WrongShape(format!("it has no function {wanted}: it exports none")));
            }
            let near = meant(split.function, functions.iter().map(|name| name.1));
            let near = near.map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
            let all = list(&mut (0..functions.len()));
            Err(Refusal::WrongShape(format!("it has no function {wanted}; it has {all}.{near}")))
        }
        several => Err(Refusal::WrongShape(format!(
            "{wanted} may be one of several functions; write one of {}",
            list(&mut several.iter().copied())
        ))),
    }
}

struct Split<'a> {
    interface: Option<&'a str>,
    version: Option<&'a str>,
    function: &'a str,
}

/// Takes a short name apart.
fn split(name: &str) -> Split<'_> {
    if let Some((interface, function)) = name.rsplit_once('#') {
        let (interface, version) = versioned(interface);
        return Split { interface: Some(interface), version, function };
    }
    // The version may stand behind the function, as wasmtime has it, or behind the interface. No function has a digit
    // behind a dot, and no interface has a dot.
    let (stem, version) = versioned(name);
    if let Some((interface, function)) = stem.rsplit_once('.') {
        return Split { interface: Some(interface), version, function };
    }
    if let Some((version, function)) = version.and_then(|version| version.rsplit_once('.'))
        && function.starts_with(|letter: char| letter.is_ascii_alphabetic())
    {
        return Split { interface: Some(stem), version: Some(version), function };
    }
    Split { interface: None, version: None, function: name }
}

fn versioned(name: &str) -> (&str, Option<&str>) {
    name.split_once('@').map_or((name, None), |(name, version)| (name, Some(version)))
}

/// Whether `wanted` is the end of an interface's name, and the version, if it is said, its version.
fn is_short_for(wanted: &str, version: Option<&str>, interface: &str) -> bool {
    let (name, its_version) = versioned(interface);
    let rest = name.strip_suffix(wanted);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(['/', ':']))
        && version.is_none_or(|version| its_version == Some(version))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const FUNCTIONS: [Name<'static>; 7] = [
        (Some("example:numbers/math@1.2.3"), "is-prime"),
        (Some("example:numbers/math@1.2.3"), "add"),
        (Some("example:other/math@2.0.0"), "add"),
        (Some("plain"), "twice"),
        (None, "run"),
        (Some("plain"), "run"),
        (Some("plain"), "[method]counter.next"),
    ];

    fn found(wanted: &str) -> Result<String, String> {
        let function = find(wanted, &FUNCTIONS).map(|index| full(FUNCTIONS[index].0, FUNCTIONS[index].1));
        function.map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn every_form_of_a_name_is_understood() {
        for wanted in [
            "example:numbers/math@1.2.3#is-prime",
            "example:numbers/math#is-prime",
            "example:numbers/math.is-prime@1.2.3",
            "example:numbers/math@1.2.3.is-prime",
            "example:numbers/math.is-prime",
            "numbers/math.is-prime",
            "math.is-prime",
            "math#is-prime",
            "is-prime",
        ] {
            assert_eq!(found(wanted).as_deref(), Ok("example:numbers/math@1.2.3#is-prime"), "{wanted}");
        }
        assert_eq!(found("run").as_deref(), Ok("run"));
        assert_eq!(found("plain.run").as_deref(), Ok("plain#run"));
        assert_eq!(found("twice").as_deref(), Ok("plain#twice"));
        assert_eq!(found("other/math.add").as_deref(), Ok("example:other/math@2.0.0#add"));
        assert_eq!(found("math.add@2.0.0").as_deref(), Ok("example:other/math@2.0.0#add"));
        assert_eq!(found("plain#[method]counter.next").as_deref(), Ok("plain#[method]counter.next"));
    }

    #[test]
    fn what_is_not_clear_is_refused_with_the_choice() {
        let both = "may be one of several functions; write one of example:numbers/math@1.2.3#add, \
            example:other/math@2.0.0#add";
        for wanted in ["add", "math.add"] {
            let error = found(wanted).unwrap_err();
            assert!(error.contains(&format!("{wanted} {both}")), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        for wanted in ["is-prim", "math.is-prim", "example:numbers/math@1.2.3#is-prim"] {
            let error = found(wanted).unwrap_err();
            assert!(error.contains(&format!("it has no function {wanted}; it has example:numbers/math")), "{error}");
            assert!(error.ends_with("Did you mean is-prime?"), "{error}");
        }
        for wanted in ["ath.is-prime", "math.is-prime@1.2", "math.is-prime@2.0.0", "", "#", ".", "@", "@.", "a@1.2"] {
            assert!(found(wanted).unwrap_err().contains("it has no function"), "{wanted}");
        }
        assert!(find("f", &[]).unwrap_err().to_string().contains("it exports none"));
    }
}
