//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Measures taskhost beside what people would take instead.

Usage: cargo run --release -p taskhost-compare -- [OPTIONS]

  --quick          Small sizes: whether everything works (default)
  --full           The sizes that the targets are given for: about an hour, 16 GiB of memory, 20 GiB of disk
  --only ROW       Only this row, or those whose names begin so (may be repeated)
  --rounds N       How often each program runs, after one run that does not count [default: 2, with --full 7]
  --write [FILE]   Write the figures into a page [default: docs/performance.md]
  --folder DIR     Where inputs and outputs lie [default: target/compare]
  --python PROGRAM Which Python [default: python3]
  --wasmtime PROGRAM  Which wasmtime serves, for the row service-calls [default: the one of wasmtime-serve.sh]
  --no-build       Measure what was built before
  --list           Print the names of the rows
";

pub(crate) struct Arguments {
    pub(crate) full: bool,
    pub(crate) only: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) write: Option<PathBuf>,
    pub(crate) folder: PathBuf,
    pub(crate) python: String,
    pub(crate) wasmtime: Option<String>,
    pub(crate) build: bool,
    pub(crate) list: bool,
    pub(crate) help: bool,
}

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let mut parsed = Self {
            full: false,
            only: Vec::new(),
            rounds: 0,
            write: None,
            folder: PathBuf::from(root).join("target/compare"),
            python: "python3".into(),
            wasmtime: None,
            build: true,
            list: false,
            help: false,
        };
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => parsed.full = false,
                "--full" => parsed.full = true,
                "--only" => parsed.only.push(value()?),
                "--rounds" => parsed.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?,
                "--folder" => parsed.folder = value()?.into(),
                "--python" => parsed.python = value()?,
                "--wasmtime" => parsed.wasmtime = Some(value()?),
                "--write" => {
                    let file = words.next_if(|next| !next.starts_with('-')).map(PathBuf::from);
                    parsed.write = Some(file.unwrap_or_else(|| PathBuf::from(root).join("docs/performance.md")));
                }
                "--no-build" => parsed.build = false,
                "--list" => parsed.list = true,
                "-h" | "--help" => parsed.help = true,
                _ => return Err(format!("unknown argument `{word}`: see --help")),
            }
        }
        if parsed.rounds == 0 {
            parsed.rounds = if parsed.full { 7 } else { 2 };
        }
        Ok(parsed)
    }

    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| row.starts_with(name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn rows_are_chosen_by_their_beginnings() -> Result<(), String> {
        let parsed = parse("--full --only sobel --write --rounds 3")?;
        assert!(parsed.full && parsed.wants("sobel-2000-f64") && !parsed.wants("blur-2000-f64"));
        assert_eq!(parsed.rounds, 3);
        assert!(parsed.write.is_some_and(|path| path.ends_with("docs/performance.md")));
        assert!(parse("")?.wants("anything"));
        Ok(())
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(parse("--fast").is_err());
        assert!(parse("--rounds many").is_err());
        assert!(parse("--only").is_err());
    }
}
