//! Tenants and tokens as the server has them at hand: read from the store at the start and after each change, so that no
//! request waits for it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{KeptToken, Scope, Scopes, Tenant, TenantId, Token};
use crate::store::{self, Store, access};
use crate::time::Moment;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// What its token is found by; no secret.
    pub key: String,
    /// What its token is good for.
    pub scopes: Scopes,
}

impl Caller {
    /// Whether its token is good for this.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }
}

/// A token that is not accepted. There is no telling why: unknown, over, of a tenant that is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied;

#[derive(Debug, Default)]
struct Known {
    tenants: HashMap<TenantId, Arc<Tenant>>,
    tokens: HashMap<String, KeptToken>,
}

/// Tenants and tokens.
#[derive(Debug)]
pub struct Directory {
    store: Store,
    known: RwLock<Known>,
}

impl Directory {
    /// Reads them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(store: Store) -> store::Result<Self> {
        let directory = Self { store, known: RwLock::default() };
        directory.refresh()?;
        Ok(directory)
    }

    /// The store that they are in.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Reads them again, after something was changed.
    ///
    /// # Errors
    /// When they cannot be read; those that were known stay.
    pub fn refresh(&self) -> store::Result<()> {
        let read = |connection: &rusqlite::Connection| Ok((access::tenants(connection)?, access::tokens(connection)?));
        let (tenants, tokens) = self.store.read(read)?;
        let known = Known {
            tenants: tenants.into_iter().map(|tenant| (tenant.id, Arc::new(tenant))).collect(),
            tokens: tokens.into_iter().map(|token| (token.key.clone(), token)).collect(),
        };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// When nobody may, and takes as long for every reason.
    pub fn identify(&self, token: &Token) -> Result<Caller, Denied> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let kept = known.tokens.get(token.key());
        let is_same = token.is(kept);
        let kept = kept.filter(|kept| is_same && kept.expires.is_none_or(|at| at > Moment::now())).ok_or(Denied)?;
        let tenant = known.tenants.get(&kept.tenant).filter(|tenant| tenant.enabled).ok_or(Denied)?;
        Ok(Caller { tenant: Arc::clone(tenant), key: kept.key.clone(), scopes: kept.scopes })
    }

    /// The tenant of this number.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<Arc<Tenant>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).tenants.get(&id).cloned()
    }

    /// The tokens of a tenant that are good now.
    #[must_use]
    pub fn tokens(&self, id: TenantId) -> Vec<KeptToken> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let now = Moment::now();
        let is_good = |token: &&KeptToken| token.tenant == id && token.expires.is_none_or(|at| at > now);
        let mut tokens: Vec<_> = known.tokens.values().filter(is_good).cloned().collect();
        tokens.sort_by_key(|token| (token.created, token.key.clone()));
        tokens
    }
}
