//! `PUT /v1/blobs/{digest}` with `Content-Range`: a content that comes in parts, so that one that is cut off goes on where it was.
//!
//! What has come stays, also when the server ends, and counts in full from its beginning: so there is room for all of it. It is
//! a content when all of it has come and is what its digest says; until then nobody can read it. Of several who send the same,
//! the last one goes on with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::blobs::BlobView;
use super::body::{self, Arrived, Coming, WRITTEN};
use super::{App, Problem, blocking};
use crate::blobs::{Blobs, Digest, NewBlob, Part};
use crate::store;
use crate::store::contents::{self, Stay};
use crate::store::uploads::{self, Begun};
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
    upload: Arc<Mutex<Upload>>,
}

/// A content of which parts come.
#[derive(Debug, Default)]
struct Upload {
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
    upload: Arc<Mutex<Upload>>,
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

/// Who goes on with an upload.
#[derive(Debug)]
struct Turn {
    held: Arc<Held>,
    number: u64,
}

/// Why nobody can go on with an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// So many bytes have come: that is where it goes on.
    At(u64),
    /// All of it has come, and is looked at.
    IsWhole,
}

impl Uploads {
    fn hold(&self, key: Key) -> Arc<Held> {
        let mut all = lock(&self.0);
        let entry = all.entry(key).or_default();
        entry.users += 1;
        Arc::new(Held { uploads: self.clone(), key, upload: Arc::clone(&entry.upload) })
    }

    /// Goes on at this byte, or at the beginning. Waits for the disk.
    fn take(&self, key: Key, blobs: &dyn Blobs, from: u64) -> std::io::Result<Result<Turn, Refused>> {
        let held = self.hold(key);
        let mut upload = lock(&held.upload);
        if upload.is_whole {
            return Ok(Err(Refused::IsWhole));
        }
        if from == 0 {
            // Whatever becomes of this one: what was to come before does not any more, and does not count.
            upload.turn += 1;
        }
        let mut part = match upload.part.take() {
            Some(part) => part,
            None => blobs.part(key.0, &key.1, from == 0)?,
        };
        if from == 0 {
            part.clear()?;
        } else if part.len() == from {
            upload.turn += 1;
        } else {
            let offset = part.len();
            upload.part = Some(part);
            return Ok(Err(Refused::At(offset)));
        }
        upload.part = Some(part);
        let number = upload.turn;
        drop(upload);
        Ok(Ok(Turn { held, number }))
    }

    /// Has nobody go on with an upload that does not count any more, and forgets what has come. One that is whole comes to its
    /// own end. Waits for the disk.
    fn stop(&self, key: Key, blobs: &dyn Blobs) -> std::io::Result<()> {
        let held = self.hold(key);
        let mut upload = lock(&held.upload);
        if upload.is_whole {
            return Ok(());
        }
        upload.turn += 1;
        upload.part = None;
        blobs.forget_part(key.0, &key.1)
    }
}

impl Turn {
    /// Adds bytes, and says how many there are.
    async fn write(&self, bytes: Vec<u8>) -> Result<u64, Problem> {
        let (held, number) = (Arc::clone(&self.held), self.number);
        let written = blocking(move || {
            let mut upload = lock(&held.upload);
            let Upload { part, turn, .. } = &mut *upload;
            match part {
                Some(part) if *turn == number => part.write(&bytes).map(|()| Some(part.len())),
                _ => Ok(None),
            }
        });
        written.await?.map_err(|error| Problem::io(&error))?.ok_or_else(taken_over)
    }

    /// All of it has come: what it is. Until this is dropped nobody else begins it.
    async fn whole(&self) -> Result<NewBlob, Problem> {
        let (held, number) = (Arc::clone(&self.held), self.number);
        let blob = blocking(move || {
            let mut upload = lock(&held.upload);
            let part = if upload.turn == number { upload.part.take() } else { None };
            upload.is_whole = part.is_some();
            drop(upload);
            part.map(Part::whole).transpose()
        });
        blob.await?.map_err(|error| Problem::io(&error))?.ok_or_else(taken_over)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut upload = lock(&self.held.upload);
        if upload.turn == self.number {
            upload.is_whole = false;
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
    let (shared, all) = (Arc::clone(&app.shared), app.uploads.clone());
    // In one go, whoever goes away meanwhile: nobody goes on with what does not count any more.
    let begun = blocking(move || {
        let blobs = Arc::clone(&shared.blobs);
        let begun = shared.store().write(move |rows| begin(rows, &*blobs, key, range, room));
        Ok(match begun.map_err(|error| Problem::store(&error))? {
            Ok(Begun::Counts) => {
                let taken = all.take(key, &*shared.blobs, range.from);
                Ok(taken.map_err(|error| Problem::io(&error))?.map_err(Refusal::Now))
            }
            Ok(other) => Ok(Err(Refusal::Never(other))),
            Err(bytes) => Err(bytes),
        })
    });
    let turn = match begun.await?? {
        Err(bytes) => return Ok(stored(&digest, bytes)),
        Ok(Ok(turn)) => turn,
        Ok(Err(Refusal::Now(Refused::At(offset)))) => return Ok(wrong_offset(offset)),
        Ok(Err(Refusal::Now(Refused::IsWhole))) => {
            return Err(Problem::busy("all of it has come, and is looked at"));
        }
        Ok(Err(Refusal::Never(begun))) => return refused(caller, begun),
    };
    // Whoever sends may go at any time: what has come is kept all the same, and what is whole is stored.
    let (app, caller) = (Arc::clone(app), Arc::clone(caller));
    let received = tokio::spawn(async move { receive(&app, &caller, &turn, body, (digest, range)).await });
    received.await.map_err(|error| Problem::internal(&error.to_string()))?
}

/// Why a part is not taken.
enum Refusal {
    /// Its content cannot be gone on with there.
    Now(Refused),
    /// Its content may not come.
    Never(Begun),
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
    let (shared, all) = (Arc::clone(&app.shared), app.uploads.clone());
    // In one go, as above.
    let given_up = blocking(move || {
        let was_coming = shared.store().write(move |rows| uploads::remove(rows, tenant, &digest));
        let was_coming = was_coming.map_err(|error| Problem::store(&error))?;
        if was_coming {
            all.stop((tenant, digest), &*shared.blobs).map_err(|error| Problem::io(&error))?;
        }
        Ok(was_coming)
    });
    given_up.await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::LocalBlobs;

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
        let take = |from| uploads.take(key, &blobs, from).expect("the disk is there");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let first = take(0).expect("nobody was there");
            assert_eq!(first.write(b"wh".to_vec()).await.ok(), Some(2));
            assert_eq!(take(3).map(drop), Err(Refused::At(2)));
            assert_eq!(first.write(b"o".to_vec()).await.ok(), Some(3), "who asks at the wrong place disturbs nobody");
            let second = take(3).expect("that is where it goes on");
            assert!(first.write(b"x".to_vec()).await.is_err() && first.whole().await.is_err());
            drop(first);
            assert_eq!(second.write(b"le".to_vec()).await.ok(), Some(5));
            let blob = second.whole().await.expect("all of it");
            assert_eq!(blob.digest(), digest);
            assert_eq!(take(0).map(drop), Err(Refused::IsWhole));
            drop(blob);
            drop(second);
            // From the beginning nothing of what was before is there.
            let third = take(0).expect("nobody is there");
            assert_eq!(third.write(b"w".to_vec()).await.ok(), Some(1));
            let fourth = take(0).expect("from the beginning");
            assert_eq!(fourth.write(b"wh".to_vec()).await.ok(), Some(2));
            assert!(third.write(b"h".to_vec()).await.is_err());
            // Who is stopped adds nothing, and what had come is gone.
            uploads.stop(key, &blobs).expect("the disk is there");
            assert!(fourth.write(b"o".to_vec()).await.is_err());
            assert_eq!(blobs.part_so_far(key.0, &digest).expect("readable"), None);
            let fifth = take(0).expect("from the beginning");
            assert_eq!(fifth.write(b"wh".to_vec()).await.ok(), Some(2));
        });
        assert!(lock(&uploads.0).is_empty(), "nobody is left");
        assert_eq!(blobs.part_so_far(key.0, &digest).expect("readable").expect("there").0, 2);
    }
}
