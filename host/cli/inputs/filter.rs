//! `--glob`: which files of a folder are taken, in the manner of `.gitignore` turned around.
//!
//! A pattern without a slash is matched against the name of a file at any depth; one with a slash against its path
//! within the folder that was given; one that ends with a slash takes all files below folders of that name. `!` in
//! front leaves out what matches. The last pattern that matches decides; a file that none matches is taken when there
//! are only patterns with `!`.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::InputError;

/// The patterns of a run.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    set: GlobSet,
    /// For each pattern of the set, whether it takes a file or leaves it out.
    takes: Vec<bool>,
}

impl Filter {
    /// Reads the patterns.
    ///
    /// # Errors
    /// When one is no pattern.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, InputError> {
        let mut set = GlobSetBuilder::new();
        let mut takes = Vec::new();
        for pattern in patterns {
            let error = |reason: String| InputError::Glob { pattern: pattern.clone(), reason };
            let (take, body) = match pattern.strip_prefix('!') {
                Some(body) => (false, body),
                None => (true, pattern.as_str()),
            };
            if body.trim_matches('/').is_empty() {
                return Err(error("it is empty; write for example '*.png'".into()));
            }
            let glob = GlobBuilder::new(&in_full(body)).literal_separator(true).backslash_escape(true).build();
            set.add(glob.map_err(|reason| error(reason.kind().to_string()))?);
            takes.push(take);
        }
        let all = patterns.join("' '");
        let set = set.build().map_err(|error| InputError::Glob { pattern: all, reason: error.to_string() })?;
        Ok(Self { set, takes })
    }

    /// Whether the file at that path within the folder is taken.
    pub(super) fn takes(&self, relative: &Path) -> bool {
        let last = self.set.matches(relative).into_iter().max();
        last.map_or_else(|| !self.takes.contains(&true), |index| self.takes[index])
    }
}

/// The pattern as one over the whole path within the folder.
fn in_full(body: &str) -> String {
    let (body, below) = match body.strip_suffix('/') {
        Some(folder) => (folder, "/**"),
        None => (body, ""),
    };
    match body.strip_prefix('/') {
        Some(anchored) => format!("{anchored}{below}"),
        None if body.contains('/') => format!("{body}{below}"),
        None => format!("**/{body}{below}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of `paths` that the patterns take.
    fn taken<'a>(patterns: &[&str], paths: &[&'a str]) -> Vec<&'a str> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let filter = Filter::new(&patterns).expect("patterns");
        paths.iter().copied().filter(|path| filter.takes(Path::new(path))).collect()
    }

    #[test]
    fn patterns_take_and_leave_out() {
        let paths = ["a.png", "b.jpg", "sub/a.png", "sub/deep/c.png"];
        assert_eq!(taken(&[], &paths), paths);
        assert_eq!(taken(&["*.png"], &paths), ["a.png", "sub/a.png", "sub/deep/c.png"]);
        assert_eq!(taken(&["/*.png"], &paths), ["a.png"]);
        assert_eq!(taken(&["sub/*.png"], &paths), ["sub/a.png"]);
        assert_eq!(taken(&["sub/**/*.png"], &paths), ["sub/a.png", "sub/deep/c.png"]);
        assert_eq!(taken(&["deep/"], &paths), ["sub/deep/c.png"]);
        assert_eq!(taken(&["!sub/"], &paths), ["a.png", "b.jpg"]);
        assert_eq!(taken(&["*.png", "!a.*"], &paths), ["sub/deep/c.png"]);
        assert_eq!(taken(&["*.png", "!a.*", "sub/a.png"], &paths), ["sub/a.png", "sub/deep/c.png"]);
        assert_eq!(taken(&["*.{png,jpg}"], &paths), paths);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["", "!", "/", "[a", "{a"] {
            let error = Filter::new(&[pattern.to_owned()]).expect_err(pattern);
            assert!(error.is_usage() && error.to_string().contains(pattern), "{error}");
        }
    }
}
