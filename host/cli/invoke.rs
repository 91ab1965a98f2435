//! `--invoke`: which function of a component is called, and how its arguments come.

use taskhost_data::split::split_name;
use taskhost_protocol::kernel::{Function, Invoke, KernelInfo, Kind, Notation};
use taskhost_protocol::work::Split;

use crate::args::{CallArguments, KindName, RunArguments};
use crate::exit_code::{Exit, Failure};
use crate::report::escape;

/// Longest name in bytes: that of an interface and that of a function, with room to spare.
const NAME_BYTES: usize = 1024;

/// Functions that are listed where one has to be chosen.
const LISTED: usize = 12;

/// `--invoke`, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The function.
    pub(crate) function: String,
    /// With arguments in parentheses: all of it. It is run once, and there is no input.
    pub(crate) call: Option<String>,
}

impl Invocation {
    /// What a user typed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (function, call) = match text.split_once('(') {
            Some((function, _)) => (function, Some(text.to_owned())),
            None => (text, None),
        };
        let function = function.trim();
        if function.is_empty() || function.len() > NAME_BYTES {
            return Err(format!(
                "write the name of a function, of at most {NAME_BYTES} bytes, or a call: NAME, or 'NAME(1, \"x\")'"
            ));
        }
        Ok(Self { function: function.to_owned(), call })
    }

    /// The same where there are no arguments: they come with the input.
    pub(crate) fn parse_name(text: &str) -> Result<Self, String> {
        match Self::parse(text)? {
            Self { function, call: Some(_) } => {
                Err(format!("write the name alone, {function}: what it is called with is in the sample"))
            }
            name => Ok(name),
        }
    }

    /// As it was typed.
    pub(crate) fn text(&self) -> &str {
        self.call.as_deref().unwrap_or(&self.function)
    }

    /// What workers are told.
    pub(crate) fn invoke(&self) -> Invoke {
        let notation = if self.call.is_some() { Notation::Wave } else { Notation::Json };
        Invoke { function: self.function.clone(), notation }
    }

    /// What the input is cut into when nobody says.
    pub(crate) fn split(&self) -> Split {
        if self.call.is_some() { Split::Whole } else { Split::Lines }
    }
}

/// The kind that the file is taken for.
pub(crate) fn kind(kind: Option<KindName>, invoke: Option<&Invocation>) -> Option<Kind> {
    if invoke.is_some() { Some(Kind::Typed) } else { kind.map(Into::into) }
}

/// Refuses flags that make no sense together.
pub(crate) fn check_flags(arguments: &RunArguments) -> Result<(), Failure> {
    let Some(invoke) = &arguments.items.call.invoke else { return Ok(()) };
    check_call(&arguments.items.call, arguments.kernel.kind)?;
    if invoke.call.is_none() {
        return Ok(());
    }
    if !arguments.inputs.is_empty() || arguments.input.input_list.is_some() {
        let function = &invoke.function;
        return Err(Failure::usage(format!(
            "--invoke has arguments in it, so that there is nothing to be read; for an input write --invoke {function}"
        )));
    }
    if let Some(split) = arguments.items.split {
        let split = split_name(split);
        return Err(Failure::usage(format!(
            "--split {split} has no meaning here: --invoke with arguments is one call"
        )));
    }
    if arguments.journal.journal.is_some() {
        return Err(Failure::usage("--journal has no meaning here: --invoke with arguments is one call"));
    }
    Ok(())
}

/// Refuses what nothing can be called with.
pub(crate) fn check_call(call: &CallArguments, kind: Option<KindName>) -> Result<(), Failure> {
    if call.invoke.is_none() {
        return Ok(());
    }
    if kind == Some(KindName::Raw) {
        return Err(Failure::usage("--invoke is for components; --kind raw is not for those"));
    }
    if !call.config.is_empty() {
        return Err(Failure::usage(
            "--config has no meaning here: a function that is called by --invoke has no settings",
        ));
    }
    Ok(())
}

/// Refuses to run a kernel of which nobody says what to call.
pub(crate) fn check_kernel(call: &CallArguments, name: &str, info: &KernelInfo) -> Result<(), Failure> {
    if info.kind != Kind::Typed || call.invoke.is_some() {
        return Ok(());
    }
    let functions: Vec<String> =
        info.functions.iter().take(LISTED).map(|function: &Function| escape(&function.name)).collect();
    let more = info.functions.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(", … and {more} more") } else { String::new() };
    let message = format!(
        "{name}: name the function to be called with --invoke NAME: it has {}{more}; `taskhost inspect {name}` says what \
         they take",
        functions.join(", ")
    );
    Err(Failure::new(Exit::Refused, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_name_and_a_call_is_a_call() {
        let name = Invocation::parse("ns:pkg/iface@1.0.0#f").expect("a name");
        assert_eq!((name.function.as_str(), name.call.as_deref()), ("ns:pkg/iface@1.0.0#f", None));
        let call = Invocation::parse("math.add (1, \"(\")").expect("a call");
        assert_eq!((call.function.as_str(), call.text()), ("math.add", "math.add (1, \"(\")"));
        assert!(Invocation::parse_name("f").is_ok() && Invocation::parse_name("f(1)").is_err());
        assert!(Invocation::parse("").is_err() && Invocation::parse("(1)").is_err());
        assert!(Invocation::parse(&"f".repeat(NAME_BYTES + 1)).is_err());
    }
}
