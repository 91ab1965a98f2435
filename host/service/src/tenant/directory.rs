//! Tenants and tokens as the server has them at hand: read from the store at the start and after each change, so that no
//! request waits for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::{KeptToken, Scope, Scopes, Tenant, TenantId, Token};
use crate::blobs::Digest;
use crate::store::audit::Origin;
use crate::store::holds::{self, Pause, Pauses};
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
    /// From where it asks.
    pub origin: Origin,
}

impl Caller {
    /// Whether its token is good for this.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }
}

/// A token that is not accepted. Whoever shows it is told the same of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It is unknown, over, or of a tenant that is disabled.
    Unknown,
    /// It is good, and not from there: somebody else has it, perhaps.
    Elsewhere {
        /// Whose it is.
        tenant: TenantId,
        /// What it is found by.
        key: String,
    },
}

#[derive(Debug, Default)]
struct Known {
    tenants: HashMap<TenantId, Arc<Tenant>>,
    tokens: HashMap<String, (KeptToken, LastUse)>,
    pauses: Pauses,
    /// Why each kernel is blocked that is.
    blocked: HashMap<Digest, String>,
}

/// When a token was last shown, as far as that is written down; 0 when it never was.
type LastUse = AtomicI64;

/// How exact that is, in milliseconds: no token has this written more often.
const HOUR: i64 = 60 * 60 * 1000;

/// Tenants and tokens.
#[derive(Debug)]
pub struct Directory {
    store: Store,
    known: RwLock<Known>,
    /// Held from the reading to the knowing: what was read earlier never takes the place of what was read later.
    refreshing: Mutex<()>,
    page: OnceLock<String>,
    links: Mutex<Vec<([u8; 32], Instant)>>,
}

/// How long a link to the operator's page is good.
const LINK_LIFE: Duration = Duration::from_secs(300);

/// Links that are good at a time.
const LINKS: usize = 16;

impl Directory {
    /// Reads them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(store: Store) -> store::Result<Self> {
        let (known, page, links) = (RwLock::default(), OnceLock::new(), Mutex::default());
        let directory = Self { store, known, refreshing: Mutex::default(), page, links };
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
        let read = |connection: &rusqlite::Connection| {
            let held = (holds::pauses(connection)?, holds::blocks(connection)?);
            Ok((access::tenants(connection)?, access::tokens(connection)?, held))
        };
        let _one_at_a_time = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let (tenants, tokens, (pauses, blocks)) = self.store.read(read)?;
        let known = Known {
            tenants: tenants.into_iter().map(|tenant| (tenant.id, Arc::new(tenant))).collect(),
            tokens: tokens.into_iter().map(|token| (token.key.clone(), with_use(token))).collect(),
            pauses,
            blocked: blocks.into_iter().map(|block| (block.digest, block.reason)).collect(),
        };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Who shows this token, at this address.
    ///
    /// # Errors
    /// When nobody may, and takes as long for every reason.
    pub fn identify(&self, token: &Token, from: IpAddr) -> Result<Caller, Denied> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let now = Moment::now();
        let found = known.tokens.get(token.key());
        let is_same = token.is(found.map(|(kept, _)| kept));
        let is_good = |(kept, _): &&(KeptToken, LastUse)| is_same && kept.expires.is_none_or(|at| at > now);
        self.admit(&known, found.filter(is_good), from, now)
    }

    /// Who has shown the token that is found by this key, some time ago, and asks from this address now.
    ///
    /// # Errors
    /// When the token is not good any more, or not from there.
    pub fn caller(&self, key: &str, from: IpAddr) -> Result<Caller, Denied> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let now = Moment::now();
        let is_good = |(kept, _): &&(KeptToken, LastUse)| kept.expires.is_none_or(|at| at > now);
        self.admit(&known, known.tokens.get(key).filter(is_good), from, now)
    }

    /// Whoever has a token that is good, when its tenant may do anything, and from there.
    fn admit(
        &self,
        known: &Known,
        found: Option<&(KeptToken, LastUse)>,
        from: IpAddr,
        now: Moment,
    ) -> Result<Caller, Denied> {
        let (kept, last_use) = found.ok_or(Denied::Unknown)?;
        let tenant = known.tenants.get(&kept.tenant).filter(|tenant| tenant.enabled).ok_or(Denied::Unknown)?;
        if !kept.networks.admit(from) {
            return Err(Denied::Elsewhere { tenant: tenant.id, key: kept.key.clone() });
        }
        self.note(kept, last_use, now);
        let origin = Origin { address: Some(from), request: None };
        Ok(Caller { tenant: Arc::clone(tenant), key: kept.key.clone(), scopes: kept.scopes, origin })
    }

    /// Has it written down that a token was shown, unless that was done in the hour before. Waits for nothing.
    fn note(&self, kept: &KeptToken, last_use: &LastUse, now: Moment) {
        let before = last_use.load(Ordering::Relaxed);
        if now.0 - before < HOUR
            || last_use.compare_exchange(before, now.0, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let key = kept.key.clone();
        // What cannot be written is written with a later use, of this server or the next.
        self.store.write_then(move |rows| access::note_use(rows, &key, now), |_| ());
    }

    /// Says where the page of the server is that has this directory.
    pub fn set_page(&self, place: String) {
        // A server has one place, and says so once.
        let _ = self.page.set(place);
    }

    /// A link to the operator's page, good once and for some minutes; `None` without a server. What is behind the `#` is not sent
    /// to any server, and stands in no log.
    #[must_use]
    pub fn link(&self) -> Option<String> {
        let page = self.page.get()?;
        let code = crate::random::word(43);
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|(_, made)| made.elapsed() < LINK_LIFE);
        if links.len() >= LINKS {
            links.remove(0);
        }
        links.push((*blake3::hash(code.as_bytes()).as_bytes(), Instant::now()));
        Some(format!("{page}/#operator={code}"))
    }

    /// Whether this is the code of a link that is good, which it is no more then.
    #[must_use]
    pub fn redeem(&self, code: &str) -> bool {
        let shown = *blake3::hash(code.as_bytes()).as_bytes();
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|(_, made)| made.elapsed() < LINK_LIFE);
        let before = links.len();
        links.retain(|(link, _)| *link != shown);
        links.len() < before
    }

    /// The tenant of this number.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<Arc<Tenant>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).tenants.get(&id).cloned()
    }

    /// Whether nothing of a tenant is started now.
    #[must_use]
    pub fn paused(&self, id: TenantId) -> Option<Pause> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).pauses.of(id)
    }

    /// Whether nothing of anybody is.
    #[must_use]
    pub fn all_paused(&self) -> Option<Pause> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).pauses.all
    }

    /// Why nobody may store or run a kernel; `None` when everybody may.
    #[must_use]
    pub fn blocked(&self, kernel: &Digest) -> Option<String> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).blocked.get(kernel).cloned()
    }

    /// The tokens of a tenant that are good now.
    #[must_use]
    pub fn tokens(&self, id: TenantId) -> Vec<KeptToken> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let now = Moment::now();
        let is_good =
            |(token, _): &&(KeptToken, LastUse)| token.tenant == id && token.expires.is_none_or(|at| at > now);
        let with_use = |(token, last_use): &(KeptToken, LastUse)| {
            let used = Some(Moment(last_use.load(Ordering::Relaxed))).filter(|used| used.0 != 0);
            KeptToken { used, ..token.clone() }
        };
        let mut tokens: Vec<_> = known.tokens.values().filter(is_good).map(with_use).collect();
        tokens.sort_by_key(|token| (token.created, token.key.clone()));
        tokens
    }
}

fn with_use(token: KeptToken) -> (KeptToken, LastUse) {
    let last_use = LastUse::new(token.used.map_or(0, |used| used.0));
    (token, last_use)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::Quotas;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn the_use_of_a_token_is_written_down_once_in_an_hour() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let token = Token::create();
        let row = token.key().to_owned();
        let add = |rows: &rusqlite::Connection, kept: fn(&Token, TenantId) -> KeptToken, token: &Token| {
            let tenant = access::add(rows, "anna", 1, &Quotas::default())?.expect("a new one").id;
            access::add_token(rows, &kept(token, tenant)).map(|()| tenant)
        };
        let shown = Token::parse(&token.reveal()).expect("a token");
        let tenant = store.write(move |rows| add(rows, |token, id| token.keep(id, Scopes::ALL, None), &token));
        let tenant = tenant.expect("written");
        let directory = Directory::new(store.clone()).expect("a directory");
        let used = || directory.tokens(tenant)[0].used;
        assert_eq!(used(), None);
        directory.identify(&shown, HERE).expect("it is good");
        let first = used().expect("it was shown");
        // An hour before, for this server and the next.
        for age in [0, HOUR] {
            let (key, at) = (row.clone(), Moment(first.0 - age));
            store.write(move |rows| access::note_use(rows, &key, at)).expect("written");
            directory.refresh().expect("read");
            directory.caller(&row, HERE).expect("it is good");
            // It is in line before this.
            store.write(|_| Ok(())).expect("written");
            let kept = store.read(access::tokens).expect("read")[0].used.expect("written down");
            assert!(kept >= first && used() == Some(kept), "{kept:?}");
        }
    }

    #[test]
    fn a_link_is_good_once_and_none_is_made_without_a_server() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let directory = Directory::new(store).expect("a directory");
        assert_eq!(directory.link(), None);
        directory.set_page("http://127.0.0.1:1".into());
        let link = directory.link().expect("a link");
        let code = link.strip_prefix("http://127.0.0.1:1/#operator=").expect("a code");
        assert!(!directory.redeem("") && !directory.redeem(&code[1..]));
        assert!(directory.redeem(code) && !directory.redeem(code));
        let first = directory.link().expect("a link");
        (0..LINKS).for_each(|_| drop(directory.link()));
        assert!(!directory.redeem(first.rsplit('=').next().expect("a code")));
    }
}
