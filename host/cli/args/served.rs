//! What a service says to the runs that it starts, and nobody types.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::values;

/// What a service says to its runs.
#[derive(Debug, Args)]
pub(crate) struct ServedArguments {
    /// Plan no batch longer than 10 ms: others wait for the cores
    #[arg(long, hide = true)]
    pub(crate) brief: bool,
    /// Most bytes of the result, and of the file of failed items (exit code 7)
    #[arg(long, value_name = "SIZE", value_parser = values::size, hide = true)]
    pub(crate) most_output: Option<u64>,
    /// What messages and the kernel call an input: once for each, in their order
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) input_name: Vec<String>,
    /// Write what happened as a page for whoever asked for this run, and may not know on which machine it was
    #[arg(long, value_name = "FILE.html", hide = true)]
    pub(crate) page: Option<PathBuf>,
    /// What that page has in place of the command: once for each word, in their order
    #[arg(long, value_name = "WORD", hide = true)]
    pub(crate) as_typed: Vec<String>,
    /// How many processes were at this run before, and what they took: milliseconds, and milliseconds of CPU time
    #[arg(long, value_name = "N:MS:CPU_MS", hide = true)]
    pub(crate) earlier: Option<Earlier>,
}

/// Processes that were at a run before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Earlier {
    pub(crate) processes: u32,
    /// How long they ran, one after the other.
    pub(crate) ran: Duration,
    pub(crate) cpu: Duration,
}

impl FromStr for Earlier {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "three numbers with a colon between each two";
        let numbers = text.split(':').map(str::parse).collect::<Result<Vec<u64>, _>>().map_err(|_| WRONG)?;
        let &[processes, ran, cpu] = numbers.as_slice() else { return Err(WRONG) };
        let processes = u32::try_from(processes).map_err(|_| WRONG)?;
        Ok(Self { processes, ran: Duration::from_millis(ran), cpu: Duration::from_millis(cpu) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_is_three_numbers() {
        let earlier = Earlier { processes: 2, ran: Duration::from_millis(1500), cpu: Duration::from_millis(90) };
        assert_eq!("2:1500:90".parse(), Ok(earlier));
        for wrong in ["", "2", "2:1500", "2:1500:90:1", "2:1.5:90", "-1:0:0"] {
            assert!(wrong.parse::<Earlier>().is_err(), "{wrong}");
        }
    }
}
