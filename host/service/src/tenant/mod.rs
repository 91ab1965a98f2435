//! Who may do what, and how much of it.

mod directory;
mod quota;
mod scope;
mod token;
mod used;

use serde::{Deserialize, Serialize};

use crate::time::Moment;

pub use directory::{Caller, Denied, Directory};
pub use quota::{QuotaChange, Quotas};
pub use scope::{Scope, ScopeError, Scopes};
pub use token::{KeptToken, Token};
pub use used::{QuotaUse, Used};

/// The number of a tenant. Numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub i64);

/// Somebody who has kernels and jobs of their own, behind walls of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its number.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// Whether its tokens are accepted and its jobs are run.
    pub enabled: bool,
    /// Its share of the cores while others want them too: twice as much for twice the weight.
    pub weight: u32,
    /// How much it may have.
    pub quotas: Quotas,
    /// Since when it is there.
    pub created: Moment,
}
