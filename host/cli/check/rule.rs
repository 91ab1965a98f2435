//! What can be found: each finding has a code that is never given to anything else, and a section of `docs/check.md`.

use serde::{Serialize, Serializer};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// The kernel may be as it is.
    Note,
    /// It does what its author will hardly want.
    Warning,
    /// It breaks the contract.
    Error,
}

impl Severity {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! rules {
    ($($name:ident = $code:literal $severity:ident $title:literal $advice:literal;)*) => {
        /// What can be found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Rule {
            $(#[doc = $title] $name,)*
        }

        impl Rule {
            /// All of them, in the order of their codes.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code.
            pub(super) fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            pub(super) fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What is wrong, in few words; the heading of its section, too.
            pub(super) fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What to do about it.
            pub(super) fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

rules! {
    NotWasm = "TH001" Error "It is no WebAssembly that can be run"
        "build it for wasm32, or switch off the proposal that the message names";
    WrongShape = "TH002" Error "It exports nothing that taskhost can call"
        "target a world of wit/kernel.wit, or export what docs/abi.md lists";
    ImportNotOffered = "TH003" Error "It imports what is not offered"
        "leave out what needs this import; what a kernel is offered stands in wit/kernel.wit and docs/abi.md";
    DoesNotStart = "TH004" Error "It fails before its first item"
        "mend `start`, or whatever runs when it is instantiated";
    BadDescription = "TH005" Error "What it says of itself cannot be used"
        "mend `describe`: split and merge are written as for --split and --merge";
    TooLarge = "TH006" Error "It is larger than a kernel may be"
        "leave out what it does not need, or let it have more with --memory";
    NotDeterministic = "TH010" Error "It does not give the same bytes twice"
        "find what differs from run to run: a clock, an address, an order that depends on one";
    ClockDependent = "TH011" Warning "Its results depend on the time of the run"
        "leave the time out of results, or take it as a setting";
    KeepsState = "TH012" Error "It keeps something from item to item"
        "set every global back at the beginning of each item; what is prepared once must never change";
    PackedDiffers = "TH013" Error "Packed calls give other results than single ones"
        "let both go through one function; the results of item i stand at place i";
    WorkersDiffer = "TH014" Error "Several workers give another result than one"
        "see what the kernel takes from outside the item: item.current, counts, memory";
    CutMatters = "TH015" Error "The picture depends on how it is cut into strips"
        "ask for a halo as large as what the filter looks at, and use the rows above and below";
    BlocksMatter = "TH016" Warning "Results depend on where blocks are cut"
        "let results be what they would be for other blocks, or say in the help of the kernel that they are not";
    NotAssociative = "TH020" Error "Joining in other groups gives another result"
        "`combine` must give the same for [a, b, c] as for [[a, b], c]: keep in a partial result all that joining needs";
    JoinsRound = "TH021" Note "Joining in other groups rounds otherwise"
        "nothing: how parts are grouped depends on the input alone";
    NoIdentity = "TH022" Error "No input has no result"
        "let `combine` of no parts give what changes nothing when it is joined: an empty table, a zero";
    BreaksContract = "TH030" Error "An answer breaks the contract"
        "see what the message says the answer was";
    WrongLength = "TH031" Error "A result has another length than was described"
        "leave `result-length` at unknown, or make every result as long as it says";
    Traps = "TH040" Warning "It traps"
        "answer with an error instead: a trap costs the instance, and says less";
    RefusesItems = "TH041" Note "It refuses items"
        "nothing, if these items are wrong; otherwise see what it says of them";
    NothingWorked = "TH042" Warning "No item worked, so that little could be checked"
        "give a file that the kernel can work on: --input SAMPLE, and its settings with --config";
    OverLimit = "TH043" Warning "An item goes over a limit"
        "raise the limit that is named, or let the kernel take less";
    EndsWorker = "TH044" Error "It ends its worker"
        "see what the message says about the end";
    UnusualItems = "TH045" Warning "An unusual item makes it trap"
        "answer with an error to what is empty, long or no text, or give a result";
    MemoryGrows = "TH046" Warning "Its memory grows from item to item"
        "give back what an item took before its result is returned; where that cannot be, run it with --recycle ITEMS";
    SaysNothing = "TH050" Note "It does not say what it takes"
        "export `describe`, so that its users need no --split and --merge";
    TooFewItems = "TH051" Note "The sample is too small to tell"
        "give a larger file with --input: some twenty items, of more than one sort";
    PrintsNothing = "TH052" Warning "The program prints nothing"
        "print results to standard output: what goes to standard error, or into a file, is no result";
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: Rule,
    /// What was seen, and where.
    pub(super) seen: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sections of the page that are about findings: code, title, advice.
    fn sections() -> Vec<(String, String)> {
        let page = include_str!("../../../docs/check.md");
        let titles = page.lines().filter_map(|line| line.strip_prefix("## TH"));
        titles
            .map(|line| line.split_once(": ").expect("`## CODE: title`"))
            .map(|(code, title)| (format!("TH{code}"), title.to_owned()))
            .collect()
    }

    #[test]
    fn every_code_is_documented_and_every_documented_code_exists() {
        let rules: Vec<(String, String)> =
            Rule::ALL.iter().map(|rule| (rule.code().to_owned(), rule.title().to_owned())).collect();
        assert_eq!(sections(), rules);
        assert!(rules.is_sorted(), "codes are in order");
    }

    #[test]
    fn the_page_says_of_each_how_grave_it_is() {
        let page = include_str!("../../../docs/check.md");
        for rule in Rule::ALL {
            let (_, section) = page.split_once(&format!("## {}: ", rule.code())).expect("it has a section");
            let said = section.lines().nth(2).unwrap_or_default();
            let wanted = format!("*{}.* ", rule.severity().name());
            assert!(said.to_lowercase().starts_with(&wanted), "{}: {said}", rule.code());
        }
    }
}
