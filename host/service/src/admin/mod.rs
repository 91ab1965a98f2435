//! What the operator asks for: of the server through a socket in the data folder, or of the store itself when none runs.

mod perform;
mod socket;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::tenant::{QuotaChange, Scopes, Tenant};
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
    /// Copies the database into a file that is not there yet.
    BackUp {
        /// Its path.
        path: std::path::PathBuf,
    },
}

/// What a new token is to be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct NewToken {
    /// What it is good for.
    pub scopes: Scopes,
    /// How long it is good; `None` for ever.
    pub life: Option<Duration>,
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
}
