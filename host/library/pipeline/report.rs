//! What a pipeline came to.

use std::fmt;

/// How far a pipeline is: from [`Piped::report`](crate::Piped::report).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineReport {
    /// Items that went in.
    pub items: u64,
    /// Results that came out.
    pub results: u64,
    /// Items that failed, at whatever stage.
    pub failed: u64,
    /// The stages, in their order.
    pub stages: Vec<StageReport>,
}

/// How far a stage of a pipeline is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageReport {
    /// Its kernel.
    pub kernel: String,
    /// Items that went in.
    pub items: u64,
    /// Results that went on to the next stage, or came out.
    pub results: u64,
    /// Items that failed here.
    pub failed: u64,
}

impl fmt::Display for PipelineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items, {} results, {} failed", self.items, self.results, self.failed)?;
        for stage in &self.stages {
            write!(f, "\n  {stage}")?;
        }
        Ok(())
    }
}

impl fmt::Display for StageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, items, results, failed } = self;
        write!(f, "{kernel}: {items} items, {results} results, {failed} failed")
    }
}
