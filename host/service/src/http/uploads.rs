//! `PUT /v1/blobs/{digest}` with `Content-Range`: a content that comes in parts, so that one that is cut off goes on where it was.
//!
//! What has come stays, also when the server ends, and counts in full from its beginning: so there is room for all of it. It is
//! a content when all of it has come and is what its digest says; until then nobody can read it. Of several who send the same,
//! the last one goes on with it: what counts and whose turn it is change together, and nobody writes more than counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::{Mutex as Queue, OwnedMutexGuard};
use utoipa::ToSchema;

use super::blobs::BlobView;
use super::body::{self, Arrived, Coming, WRITTEN};
use super::{App, Problem, blocking};
use crate::blobs::{Blobs, Digest, NewBlob, Part};
use crate::store::contents::{self, Stay};
use crate::store::uploads::{self, Begun};
use crate::store::{self, Store};
use crate::sweep;
use crate::tenant::{Caller, TenantId};

/// How much has come of a content that is not there yet.
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// How much of it there will be.
const LENGTH: HeaderName = HeaderName::from_static("upload-length");

/// A content of which a part has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upload)]
pub(super) struct UploadView {
    digest: String,
    /// Bytes that have come: the next part begins there.
    offset: u64,
    /// Bytes that it will have.
    bytes: u64,
}

/// Which part of a content comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    from: u64,
    /// Behind its last byte.
    to: u64,
    /// Bytes of all of it.
    all: u64,
}

/// The part that a request says it has: `bytes FROM-LAST/ALL`. `None` when it says nothing of parts.
pub(super) fn range(headers: &HeaderMap) -> Result<Option<Range>, Problem> {
    let mut said = headers.get_all(header::CONTENT_RANGE).iter();
    let Some(first) = said.next() else { return Ok(None) };
    let bad =
        || Problem::bad("bad-range", "Content-Range is written as bytes FROM-LAST/ALL, and ends within ALL bytes");
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    let parse = |text: &str| {
        let (part, all) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (from, last) = part.split_once('-')?;
        let (from, last, all) = (number(from)?, number(last)?, number(all)?);
        (from <= last && last < all).then_some(Range { from, to: last + 1, all })
    };
    let range = first.to_str().ok().and_then(parse).filter(|_| said.next().is_none());
    let range = range.ok_or_else(bad)?;
    if body::declared(headers).is_some_and(|declared| declared != range.to - range.from) {
        return Err(Problem::bad("bad-range", "Content-Range and Content-Length do not say the same"));
    }
    Ok(Some(range))
}

type Key = (TenantId, Digest);

/// What is being sent in parts now.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploads(Arc<Mutex<HashMap<Key, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    /// Requests that know it.
    users: usize,
    upload: Arc<Upload>,
}

/// A content of which parts come.
#[derive(Debug, Default)]
struct Upload {
    /// Who changes its row, and with it whose turn it is. Whoever waits for that waits for the disk, without a thread.
    order: Arc<Queue<()>>,
    now: Mutex<Now>,
}

/// How far it is.
#[derive(Debug, Default)]
struct Now {
    /// What has come; none when nobody has looked yet, and when all of it has come.
    part: Option<Part>,
    /// Whose turn it is to add to it: that of the latest request.
    turn: u64,
    /// All of it has come, and is looked at.
    is_whole: bool,
}

/// A request that knows an upload, for as long as it or what it has begun lives.
#[derive(Debug)]
struct Held {
    uploads: Uploads,
    key: Key,
    upload: Arc<Upload>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = lock(&self.uploads.0);
        if let Some(entry) = all.get_mut(&self.key) {
            entry.users -= 1;
            if entry.users == 0 {
                all.remove(&self.key);
            }
        }
    }
}

impl Held {
    fn now(&self) -> MutexGuard<'_, Now> {
        lock(&self.upload.now)
    }

    async fn queue(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.upload.order).lock_owned().await
    }
}

/// Whoever begins a part of an upload, or gives it up. Nobody else does as long as this lives: so its row counts what whoever has the
/// turn may send, and nobody sends what has no row.
#[derive(Debug)]
struct Order {
    _alone: OwnedMutexGuard<()>,
    held: Arc<Held>,
}

/// Who goes on with an upload.
#[derive(Debug)]
struct Turn {
    held: Arc<Held>,
    number: u64,
    /// Bytes that the upload counts with: no more are written.
    most: u64,
}

/// Why a part is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// So many bytes have come: that is where it goes on.
    At(u64),
    /// All of it has come, and is looked at.
    IsWhole,
    /// The content is there already: so many bytes.
    IsThere(u64),
    /// It may not come.
    Never(Begun),
}

impl Uploads {
    fn hold(&self, key: Key) -> Arc<Held> {
        let mut all = lock(&self.0);
        let entry = all.entry(key).or_default();
        entry.users += 1;
        Arc::new(Held { uploads: self.clone(), key, upload: Arc::clone(&entry.upload) })
    }

    /// Waits until nobody else begins a part of it or gives it up.
    async fn order(&self, key: Key) -> Order {
        let held = self.hold(key);
        let alone = held.queue().await;
        Order { _alone: alone, held }
    }
}

impl Order {
    /// Begins a part, for which there is room for so many bytes of all that the tenant has. Waits for the disk.
    fn begin(
        &self,
        store: &Store,
        blobs: &Arc<dyn Blobs>,
        range: Range,
        room: u64,
    ) -> Result<Result<Turn, Refused>, Problem> {
        if self.held.now().is_whole {
            return Ok(Err(Refused::IsWhole));
        }
        let (key, kept) = (self.held.key, Arc::clone(blobs));
        let begun = store.write(move |rows| begin(rows, &*kept, key, range, room));
        match begun.map_err(|error| Problem::store(&error))? {
            Ok(Begun::Counts) => self.take(&**blobs, range).map_err(|error| Problem::io(&error)),
            Ok(begun) => Ok(Err(Refused::Never(begun))),
            Err(bytes) => Ok(Err(Refused::IsThere(bytes))),
        }
    }

    /// Goes on where a part begins, or at the beginning. Waits for the disk.
    fn take(&self, blobs: &dyn Blobs, Range { from, all, .. }: Range) -> std::io::Result<Result<Turn, Refused>> {
        let (held, key) = (Arc::clone(&self.held), self.held.key);
        let mut now = held.now();
        if from == 0 {
            // Whatever becomes of this one: what was to come before does not any more, and does not count.
            now.turn += 1;
        }
        let mut part = match now.part.take() {
            Some(part) => part,
            None => blobs.part(key.0, &key.1, from == 0)?,
        };
        if from == 0 {
            part.clear()?;
        } else if part.len() == from {
            now.turn += 1;
        } else {
            let offset = part.len();
            now.part = Some(part);
            return Ok(Err(Refused::At(offset)));
        }
        now.part = Some(part);
        let number = now.turn;
        drop(now);
        Ok(Ok(Turn { held, number, most: all }))
    }

    /// Gives up an upload, and says whether there was one. Waits for the disk.
    fn give_up(&self, store: &Store, blobs: &dyn Blobs) -> Result<bool, Problem> {
        let (tenant, digest) = self.held.key;
        let was_coming = store.write(move |rows| uploads::remove(rows, tenant, &digest));
        let was_coming = was_coming.map_err(|error| Problem::store(&error))?;
        if was_coming {
            self.stop(blobs).map_err(|error| Problem::io(&error))?;
        }
        Ok(was_coming)
    }

    /// Has nobody go on with an upload that does not count any more, and forgets what has come. One that is whole comes to its
    /// own end. Waits for the disk.
    fn stop(&self, blobs: &dyn Blobs) -> std::io::Result<()> {
        let mut now = self.held.now();
        if now.is_whole {
            return Ok(());
        }
        now.turn += 1;
        now.part = None;
        blobs.forget_part(self.held.key.0, &self.held.key.1)
    }
}

impl Turn {
    /// Adds bytes, and says how many there are.
    async fn write(&self, bytes: Vec<u8>) -> Result<u64, Problem> {
        let (held, number, most) = (Arc::clone(&self.held), self.number, self.most);
        let written = blocking(move || {
            let mut now = held.now();
            let Now { part, turn, .. } = &mut *now;
            match part {
                Some(part) if *turn == number && bytes.len() as u64 <= most.saturating_sub(part.len()) => {
                    part.write(&bytes).map(|()| Some(part.len()))
                }
                _ => Ok(None),
            }
        });
        written.await?.map_err(|error| Problem::io(&error))?.ok_or_else(taken_over)
    }

    /// All of it has come: what it is. Until this is dropped nobody else begins it.
    async fn whole(&self) -> Result<NewBlob, Problem> {
        let (held, number, alone) = (Arc::clone(&self.held), self.number, self.held.queue().await);
        let blob = blocking(move || {
            let mut now = held.now();
            let part = if now.turn == number { now.part.take() } else { None };
            now.is_whole = part.is_some();
            drop(now);
            drop(alone);
            part.map(Part::whole).transpose()
        });
        blob.await?.map_err(|error| Problem::io(&error))?.ok_or_else(taken_over)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut now = self.held.now();
        if now.turn == self.number {
            now.is_whole = false;
        }
    }
}

fn taken_over() -> Problem {
    Problem::conflict("taken-over", "another request goes on with this content, or it was deleted")
}

fn with_offset(response: impl axum::response::IntoResponse, offset: u64) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(OFFSET, HeaderValue::from(offset));
    response
}

fn wrong_offset(offset: u64) -> Response {
    let text = format!("{offset} bytes have come: go on there, or begin at 0");
    with_offset(Problem::conflict("wrong-offset", text).with("offset", offset), offset)
}

/// Takes a part of a content.
pub(super) async fn put(
    app: &Arc<App>,
    caller: &Arc<Caller>,
    headers: &HeaderMap,
    body: Body,
    digest: Digest,
    range: Range,
) -> Result<Response, Problem> {
    body::plain(headers)?;
    let (key, quota) = ((caller.tenant.id, digest), caller.tenant.quotas.stored_bytes);
    // What comes at the same time and is not kept yet has no other room.
    let room = quota.saturating_sub(app.incoming.bytes(key.0));
    let (order, shared) = (app.uploads.order(key).await, Arc::clone(&app.shared));
    // In one go, whoever goes away meanwhile: nobody goes on with what does not count any more.
    let turn = match blocking(move || order.begin(shared.store(), &shared.blobs, range, room)).await?? {
        Ok(turn) => turn,
        Err(Refused::IsThere(bytes)) => return Ok(stored(&digest, bytes)),
        Err(Refused::At(offset)) => return Ok(wrong_offset(offset)),
        Err(Refused::IsWhole) => return Err(Problem::busy("all of it has come, and is looked at")),
        Err(Refused::Never(begun)) => return refused(caller, begun),
    };
    // Whoever sends may go at any time: what has come is kept all the same, and what is whole is stored.
    let (app, caller) = (Arc::clone(app), Arc::clone(caller));
    let received = tokio::spawn(async move { receive(&app, &caller, &turn, body, (digest, range)).await });
    received.await.map_err(|error| Problem::internal(&error.to_string()))?
}

/// A part is about to come. An error is that of a content which is there already: so many bytes.
fn begin(
    rows: &rusqlite::Connection,
    blobs: &dyn Blobs,
    (tenant, digest): Key,
    range: Range,
    room: u64,
) -> store::Result<Result<Begun, u64>> {
    let Some(bytes) = contents::bytes(rows, tenant, &digest)? else {
        return uploads::begin(rows, tenant, &digest, range.all, range.from == 0, room).map(Ok);
    };
    // It was sent before: what comes now need not be read to know what it is.
    sweep::check_kept(blobs, tenant, &digest)?;
    contents::add(rows, tenant, &digest, bytes, Stay::UntilDeleted)?;
    Ok(Err(bytes))
}

/// Tells whoever sends that a content may not come.
fn refused(caller: &Caller, begun: Begun) -> Result<Response, Problem> {
    match begun {
        // Nothing of it is there that could be gone on with.
        Begun::Counts | Begun::Unknown => Ok(wrong_offset(0)),
        Begun::OtherLength(bytes) => {
            let text = format!("the content was to have {bytes} bytes; begin at 0 when it is another one");
            Err(Problem::conflict("other-length", text))
        }
        Begun::TooMany => Err(Problem::quota("uploads", uploads::MOST, uploads::MOST, Duration::from_secs(60))),
        Begun::Full(stored) => Err(body::full(caller, stored)),
    }
}

/// Takes what comes of a part, and has the content stored when that was the last one.
async fn receive(
    app: &App,
    caller: &Caller,
    turn: &Turn,
    body: Body,
    (digest, range): (Digest, Range),
) -> Result<Response, Problem> {
    let offset = write_all(turn, body, range).await?;
    if offset < range.all {
        let view = UploadView { digest: digest.to_string(), offset, bytes: range.all };
        return Ok(with_offset((StatusCode::ACCEPTED, Json(view)), offset));
    }
    let tenant = caller.tenant.id;
    let blob = turn.whole().await?;
    if blob.digest() != digest {
        let found = blob.digest();
        app.write(move |rows| uploads::remove(rows, tenant, &digest)).await?;
        return Err(Problem::unprocessable("digest-mismatch", format!("what came is {found}; it is forgotten")));
    }
    let (digest, bytes) = body::keep(app, caller, Arrived::counted(blob, app, tenant), Stay::UntilDeleted).await?;
    Ok(stored(&digest, bytes))
}

fn stored(digest: &Digest, bytes: u64) -> Response {
    (StatusCode::CREATED, Json(BlobView { digest: digest.to_string(), bytes })).into_response()
}

/// Writes what comes of a part, and says how much there is of the content then. What comes before a part is cut off stays.
async fn write_all(turn: &Turn, body: Body, range: Range) -> Result<u64, Problem> {
    let (mut coming, mut waiting) = (Coming::new(body, "the part", range.to - range.from), Vec::new());
    let ended = loop {
        match coming.next().await {
            Ok(Some(bytes)) => waiting.extend_from_slice(&bytes),
            Ok(None) => break Ok(()),
            Err(problem) => break Err(problem),
        }
        if waiting.len() >= WRITTEN {
            turn.write(std::mem::take(&mut waiting)).await?;
        }
    };
    let offset = turn.write(waiting).await?;
    ended?;
    if offset == range.to { Ok(offset) } else { Err(Problem::bad("cut-off", "the part ended before its end")) }
}

/// That a content is not there, and how much of it has come, when something has.
pub(super) async fn missing(app: &App, caller: &Caller, digest: Digest, problem: Problem) -> Result<Response, Problem> {
    let tenant = caller.tenant.id;
    let Some(bytes) = app.read(move |rows| uploads::find(rows, tenant, &digest)).await? else { return Err(problem) };
    let blobs = Arc::clone(&app.shared.blobs);
    let far = blocking(move || blobs.part_so_far(tenant, &digest)).await?.map_err(|error| Problem::io(&error))?;
    let mut response = with_offset(problem, far.map_or(0, |(offset, _)| offset));
    response.headers_mut().insert(LENGTH, HeaderValue::from(bytes));
    Ok(response)
}

/// Gives up a content of which parts have come. Returns whether there was one.
pub(super) async fn give_up(app: &App, tenant: TenantId, digest: Digest) -> Result<bool, Problem> {
    let (order, shared) = (app.uploads.order((tenant, digest)).await, Arc::clone(&app.shared));
    // In one go, as above.
    blocking(move || order.give_up(shared.store(), &*shared.blobs)).await?
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::blobs::LocalBlobs;
    use crate::store::access;
    use crate::tenant::Quotas;

    #[test]
    fn a_part_says_where_it_belongs() {
        let of = |texts: &[&str], length: Option<&str>| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(header::CONTENT_RANGE, HeaderValue::from_str(text).expect("a value"));
            }
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from_str(length).expect("a value"));
            }
            range(&headers).ok().flatten()
        };
        assert!(range(&HeaderMap::new()).is_ok_and(|range| range.is_none()));
        assert_eq!(of(&["bytes 0-9/10"], None), Some(Range { from: 0, to: 10, all: 10 }));
        assert_eq!(of(&["bytes 5-5/10"], Some("1")), Some(Range { from: 5, to: 6, all: 10 }));
        let most = u64::MAX;
        assert_eq!(of(&[&format!("bytes 0-{}/{most}", most - 1)], None), Some(Range { from: 0, to: most, all: most }));
        assert_eq!(of(&["bytes 5-9/10"], Some("4")), None, "it is shorter than it says");
        for bad in [
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes 0-9/*",
            "bytes */10",
            "bytes 0-0/0",
            "bytes=0-9/10",
            "items 0-9/10",
            "bytes +1-9/10",
            "bytes -9/10",
            "bytes 0-/10",
            "bytes 0-18446744073709551615/18446744073709551616",
            "",
        ] {
            assert_eq!(of(&[bad], None), None, "{bad}");
        }
        assert_eq!(of(&["bytes 0-9/10", "bytes 0-9/10"], None), None, "it says so twice");
    }

    #[test]
    fn the_latest_goes_on_and_who_was_before_adds_nothing() {
        let place = tempfile::tempdir().expect("a folder");
        let blobs = LocalBlobs::new(place.path());
        let (uploads, digest) = (Uploads::default(), Digest::of(b"whole"));
        let key = (TenantId(1), digest);
        let take = async |from| {
            let range = Range { from, to: 5, all: 5 };
            uploads.order(key).await.take(&blobs, range).expect("the disk is there")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let first = take(0).await.expect("nobody was there");
            assert_eq!(first.write(b"wh".to_vec()).await.ok(), Some(2));
            assert_eq!(take(3).await.map(drop), Err(Refused::At(2)));
            assert_eq!(first.write(b"o".to_vec()).await.ok(), Some(3), "who asks at the wrong place disturbs nobody");
            let second = take(3).await.expect("that is where it goes on");
            assert!(first.write(b"x".to_vec()).await.is_err() && first.whole().await.is_err());
            drop(first);
            assert_eq!(second.write(b"le".to_vec()).await.ok(), Some(5));
            let blob = second.whole().await.expect("all of it");
            assert_eq!(blob.digest(), digest);
            assert!(uploads.order(key).await.held.now().is_whole);
            drop(blob);
            drop(second);
            // From the beginning nothing of what was before is there.
            let third = take(0).await.expect("nobody is there");
            assert_eq!(third.write(b"w".to_vec()).await.ok(), Some(1));
            let fourth = take(0).await.expect("from the beginning");
            assert_eq!(fourth.write(b"wh".to_vec()).await.ok(), Some(2));
            assert!(third.write(b"h".to_vec()).await.is_err());
            // Who is stopped adds nothing, and what had come is gone.
            uploads.order(key).await.stop(&blobs).expect("the disk is there");
            assert!(fourth.write(b"o".to_vec()).await.is_err());
            assert_eq!(blobs.part_so_far(key.0, &digest).expect("readable"), None);
            let fifth = take(0).await.expect("from the beginning");
            assert_eq!(fifth.write(b"wh".to_vec()).await.ok(), Some(2));
        });
        assert!(lock(&uploads.0).is_empty(), "nobody is left");
        assert_eq!(blobs.part_so_far(key.0, &digest).expect("readable").expect("there").0, 2);
    }

    /// Times that two are let loose on one upload: where the row is written and the turn taken one after the other, a few of these
    /// are enough for them to come between.
    const ATTEMPTS: u8 = 60;

    /// Does two things at once, each on a thread of its own.
    fn at_once<A: Future + Send, B: Future + Send>(one: A, other: B) -> (A::Output, B::Output)
    where
        A::Output: Send,
        B::Output: Send,
    {
        fn run<F: Future>(begin: &Barrier, work: F) -> F::Output {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            begin.wait();
            runtime.block_on(work)
        }
        let begin = Barrier::new(2);
        std::thread::scope(|scope| {
            let one = scope.spawn(|| run(&begin, one));
            let other = run(&begin, other);
            (one.join().expect("it ends"), other)
        })
    }

    #[test]
    fn no_more_lies_there_than_counts_whoever_comes_at_once() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let tenant = store.write(|rows| access::add(rows, "anna", 1, &Quotas::default()));
        let tenant = tenant.expect("written").expect("a new one").id;
        let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::new(place.path()));
        let uploads = Uploads::default();
        let send = async |key: Key, bytes: &[u8]| {
            let all = bytes.len() as u64;
            // One is missing, so that all of it stays as it is.
            let range = Range { from: 0, to: all, all: all + 1 };
            let begun = uploads.order(key).await.begin(&store, &blobs, range, 100_000);
            match begun.expect("the disk is there") {
                Ok(turn) => turn.write(bytes.to_vec()).await.is_ok(),
                Err(refused) => panic!("{refused:?}"),
            }
        };
        let give_up = async |key: Key| uploads.order(key).await.give_up(&store, &*blobs).expect("the disk is there");
        let there = |key: Key| {
            let row = store.read(|rows| uploads::find(rows, key.0, &key.1)).expect("read");
            (blobs.part_so_far(key.0, &key.1).expect("readable").map(|(bytes, _)| bytes), row)
        };
        for attempt in 0..ATTEMPTS {
            let key = (tenant, Digest::of(&[attempt]));
            at_once(send(key, b"much more than that"), send(key, b"x"));
            let (far, row) = there(key);
            assert!(far < row, "{far:?} of {row:?} lie there");
            let (_, was_there) = at_once(send(key, b"much more than that"), give_up(key));
            let (far, row) = there(key);
            assert!(
                was_there && far.is_none_or(|far| row.is_some_and(|row| far < row)),
                "{far:?} of {row:?} lie there"
            );
            let _ = at_once(give_up(key), async {});
        }
    }

    #[test]
    fn no_more_is_written_than_counts() {
        let place = tempfile::tempdir().expect("a folder");
        let blobs = LocalBlobs::new(place.path());
        let (uploads, key) = (Uploads::default(), (TenantId(1), Digest::of(b"whole")));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let range = Range { from: 0, to: 2, all: 2 };
            let turn = uploads.order(key).await.take(&blobs, range).expect("the disk is there").expect("the first");
            assert_eq!(turn.write(b"w".to_vec()).await.ok(), Some(1));
            assert!(turn.write(b"ho".to_vec()).await.is_err());
            assert_eq!(turn.write(b"h".to_vec()).await.ok(), Some(2));
        });
    }
}
