//! What the operator asks for: of the server through a socket in the data folder, or of the store itself when none runs.

mod hold;
mod perform;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::blobs::{Blobs, Digest};
use crate::network::Networks;
use crate::store::audit::AuditRow;
use crate::store::holds::{Block, Ended, Pause};
use crate::tenant::{Directory, QuotaChange, Scopes, Tenant};
use crate::time::Moment;

pub use perform::perform;
pub use socket::{AdminError, AdminSocket, ask};

/// What the operator asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminRequest {
    /// A new tenant, with a token.
    Create {
        /// Its name.
        name: String,
        /// Its share; 1 when not said.
        weight: Option<u32>,
        /// What it may have, where that is not what everybody may.
        quotas: QuotaChange,
        /// Its first token.
        token: NewToken,
    },
    /// All tenants.
    List,
    /// One tenant.
    Show {
        /// Its name.
        name: String,
    },
    /// Changes a tenant.
    Set {
        /// Its name.
        name: String,
        /// Its share.
        weight: Option<u32>,
        /// What it may have.
        quotas: QuotaChange,
        /// Whether it may do anything.
        enabled: Option<bool>,
    },
    /// A new token for a tenant; the others end.
    Rotate {
        /// Its name.
        name: String,
        /// The new one.
        token: NewToken,
        /// How long the others are still good.
        overlap: Duration,
    },
    /// A link to the operator's page.
    Link,
    /// Copies everything that is kept into a folder that is not there yet.
    BackUp {
        /// Its path.
        path: PathBuf,
    },
    /// Some rows of the audit log.
    Audit {
        /// Those about this tenant; of all without.
        name: Option<String>,
        /// Those behind the row of this number.
        after: i64,
    },
    /// Starts nothing of a tenant, or of anybody, until it is told otherwise.
    Pause {
        /// The tenant; everybody without.
        name: Option<String>,
        /// Whether what runs is parked.
        parks: bool,
    },
    /// Starts things again.
    Resume {
        /// The tenant; everybody who is not paused by itself without.
        name: Option<String>,
    },
    /// Lets nobody store or run a kernel, and ends the jobs of it.
    Block {
        /// What it is known by.
        digest: String,
        /// Why, for its tenants too.
        reason: String,
    },
    /// Lets everybody again.
    Unblock {
        /// What it is known by.
        digest: String,
    },
    /// The kernels that are blocked.
    Blocks,
    /// Follows the hashes of the audit log from its first row to its last.
    VerifyAudit,
}

/// What requests are done to.
pub struct Ground {
    /// Tenants and tokens, and the store.
    pub directory: Arc<Directory>,
    /// Contents.
    pub blobs: Arc<dyn Blobs>,
    /// The data folder.
    pub data: PathBuf,
}

/// What a new token is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewToken {
    /// What it is good for.
    pub scopes: Scopes,
    /// How long it is good; `None` for ever.
    pub life: Option<Duration>,
    /// From where it is good; from everywhere when there is none.
    #[serde(default)]
    pub networks: Networks,
}

/// What the operator is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminAnswer {
    /// A token, which is told this once.
    Token(String),
    /// A link, which is good once.
    Link(String),
    /// Tenants, by name.
    Tenants(Vec<TenantView>),
    /// Rows of the audit log, oldest first; none when there are no more.
    Audit(Vec<AuditRow>),
    /// A kernel is blocked.
    Blocked {
        /// What it is known by.
        digest: Digest,
        /// Why.
        reason: String,
        /// The jobs that were ended for its sake.
        ended: Vec<Ended>,
    },
    /// The kernels that are blocked, in the order in which they were.
    Blocks(Vec<Block>),
    /// So many rows are what was written.
    Verified(u64),
    /// It was done.
    Done,
    /// It was not, and why.
    Refused(String),
}

/// A tenant as the operator sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantView {
    /// The tenant.
    pub tenant: Tenant,
    /// Whether nothing of it is started now.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// CPU time it has used today (UTC), in milliseconds.
    pub cpu_ms_today: u64,
    /// Its tokens that are good now, oldest first.
    pub tokens: Vec<TokenView>,
}

/// A token as the operator sees it: no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenView {
    /// What it is found by.
    pub key: String,
    /// What it is good for.
    pub scopes: Scopes,
    /// Until when.
    pub expires: Option<Moment>,
    /// From where; from everywhere when there is none.
    #[serde(default)]
    pub networks: Networks,
}
