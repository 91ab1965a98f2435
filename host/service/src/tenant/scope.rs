//! What a token is good for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One thing that a token may be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Looking at kernels and aliases.
    KernelsRead,
    /// Storing and deleting them.
    KernelsWrite,
    /// Looking at jobs.
    JobsRead,
    /// Submitting jobs, calling kernels, storing inputs.
    JobsWrite,
    /// Cancelling jobs.
    JobsCancel,
    /// Reading inputs and results.
    ResultsRead,
    /// Looking at what was used, and at the quotas.
    UsageRead,
    /// Making and ending tokens that are good for no more than the one that asks.
    TokensAdmin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::KernelsRead,
        Self::KernelsWrite,
        Self::JobsRead,
        Self::JobsWrite,
        Self::JobsCancel,
        Self::ResultsRead,
        Self::UsageRead,
        Self::TokensAdmin,
    ];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KernelsRead => "kernels:read",
            Self::KernelsWrite => "kernels:write",
            Self::JobsRead => "jobs:read",
            Self::JobsWrite => "jobs:write",
            Self::JobsCancel => "jobs:cancel",
            Self::ResultsRead => "results:read",
            Self::UsageRead => "usage:read",
            Self::TokensAdmin => "tokens:admin",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A word that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no scope; there are: kernels:read, kernels:write, jobs:read, jobs:write, jobs:cancel, results:read, usage:read, \
     tokens:admin"
)]
pub struct ScopeError(String);

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| ScopeError(text.to_owned()))
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scopes(u16);

impl Scopes {
    /// All that there are.
    pub const ALL: Self = Self((1 << Scope::ALL.len()) - 1);

    /// Whether this one is in it.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// One of these that is none of the others; `None` when there is none such.
    #[must_use]
    pub fn beyond(self, others: Self) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| self.has(*scope) && !others.has(*scope))
    }

    /// As they are written.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        Scope::ALL.into_iter().filter(|scope| self.has(*scope)).map(Scope::name).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}

impl FromStr for Scopes {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        text.split_whitespace().map(Scope::from_str).collect()
    }
}

impl TryFrom<String> for Scopes {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scopes> for String {
    fn from(scopes: Scopes) -> Self {
        scopes.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for scopes in [Scopes::ALL, Scopes::default(), [Scope::JobsRead, Scope::UsageRead].into_iter().collect()] {
            assert_eq!(scopes.to_string().parse(), Ok(scopes));
        }
        assert!("jobs:read admin".parse::<Scopes>().is_err());
    }

    #[test]
    fn what_is_beyond_others_is_named() {
        let few: Scopes = [Scope::JobsRead, Scope::UsageRead].into_iter().collect();
        assert_eq!((few.beyond(Scopes::ALL), few.beyond(few)), (None, None));
        assert_eq!(few.beyond([Scope::UsageRead].into_iter().collect()), Some(Scope::JobsRead));
    }

    #[test]
    fn one_scope_is_no_other() {
        for one in Scope::ALL {
            let scopes = Scopes::from_iter([one]);
            assert_eq!(Scope::ALL.into_iter().filter(|scope| scopes.has(*scope)).collect::<Vec<_>>(), [one]);
        }
    }
}
