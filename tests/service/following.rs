//! Jobs while they run: events, results as they are written, why one waits; and running again what failed.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{BLOCK, Client, Server};
use crate::harness::{Place, eventually};

/// Items of some hundredths of a second each, and two that fail.
fn job() -> Value {
    let text = format!("{}x\n{}y\n", "0 300000\n".repeat(20), "0 300000\n".repeat(20));
    json!({
        "kernel": "primes",
        "input": [{ "text": text, "name": "numbers.txt" }],
        "parameters": { "on_error": "skip", "workers": 1, "batch": 1 },
    })
}

fn wanted() -> String {
    "25997\n".repeat(40)
}

/// Events with their numbers, until the job is over.
fn events(client: &Client, job: &str, head: &str) -> Vec<(String, String, Value)> {
    let mut coming = client.open(&format!("/v1/jobs/{job}/events"), head);
    assert_eq!(coming.status, 200);
    let (mut id, mut name, mut events) = (String::new(), String::new(), Vec::new());
    while let Some(line) = coming.line() {
        match line.split_once(": ") {
            Some(("id", text)) => id = text.to_owned(),
            Some(("event", text)) => name = text.to_owned(),
            Some(("data", text)) => events.push((id.clone(), name.clone(), serde_json::from_str(text).unwrap())),
            _ => {}
        }
    }
    events
}

fn named<'a>(events: &'a [(String, String, Value)], wanted: &str) -> Vec<&'a (String, String, Value)> {
    events.iter().filter(|(_, name, _)| name == wanted).collect()
}

#[test]
fn what_happens_is_told_as_it_happens_and_what_failed_is_run_again() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("primes");
    let job = anna.submit(&job());
    // While it runs, its result is not there, but what there is of it can be had.
    assert_eq!(anna.get(&format!("/v1/jobs/{job}/result")).is(409).code(), "not-finished");
    let (events, followed) = std::thread::scope(|scope| {
        let events = scope.spawn(|| events(&anna, &job, ""));
        let followed = scope.spawn(|| anna.get(&format!("/v1/jobs/{job}/result?follow=true")).is(200));
        (events.join().unwrap(), followed.join().unwrap())
    });
    assert!(followed.is_whole && followed.text() == wanted(), "{}", followed.text());
    assert!(["queued", "running"].contains(&followed.header("taskhost-state").unwrap()), "{}", followed.head);
    let far: Vec<u64> =
        named(&events, "progress").iter().filter_map(|event| event.2["progress"]["items"].as_u64()).collect();
    assert!(far.is_sorted() && far.last().is_some_and(|last| *last > 0), "{events:?}");
    let items = named(&events, "item");
    assert_eq!(items.len(), 2, "{events:?}");
    assert_eq!((&items[0].2["line"], &items[1].2["line"]), (&json!(21), &json!(42)));
    let (_, name, ended) = events.last().unwrap();
    assert_eq!((name.as_str(), &ended["state"], &ended["failed_items"]), ("end", &json!("partial"), &json!(2)));
    assert_eq!(ended["verdicts"], json!({ "kernel-error": 2 }), "{ended}");
    // Whoever comes back hears what came since, and nothing twice.
    let since = self::events(&anna, &job, &format!("Last-Event-ID: {}\r\n", items[0].0));
    assert_eq!(named(&since, "item").len(), 1, "{since:?}");
    assert_eq!(named(&self::events(&anna, &job, ""), "item").len(), 2);
    assert_eq!(
        anna.send("GET", &format!("/v1/jobs/{job}/events"), "Last-Event-ID: x\r\n", b"").is(400).code(),
        "bad-event-id"
    );
    // Its failed items are a job of their own.
    let again = anna.send("POST", &format!("/v1/jobs/{job}/retry"), "Idempotency-Key: a\r\n", b"").is(202).json();
    let replayed = anna.send("POST", &format!("/v1/jobs/{job}/retry"), "Idempotency-Key: a\r\n", b"");
    assert_eq!((replayed.header("idempotency-replayed"), &replayed.json()["id"]), (Some("true"), &again["id"]));
    let retried = anna.wait(again["id"].as_str().unwrap());
    assert_eq!(
        (&retried["retry_of"], &retried["items"], &retried["failed_items"]),
        (&json!(job), &json!(2), &json!(2))
    );
    let blob = retried["inputs"][0]["blob"].as_str().unwrap();
    assert_eq!(anna.get(&format!("/v1/blobs/{blob}")).is(200).text(), "x\ny\n");
    let done = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 10\n" } }));
    anna.wait(&done);
    assert_eq!(anna.post(&format!("/v1/jobs/{done}/retry"), "").is(409).code(), "cannot-retry");
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_job_that_waits_says_why_and_jobs_are_found_by_what_is_known_of_them() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--concurrent-jobs 1 --requests 100000");
    let digest = anna.kernel("primes");
    let labelled = |who: &str| json!({ "kernel": "primes", "input": { "text": "0 4000000000\n" }, "labels": { "who": who, "a b": "=" } });
    let jobs: Vec<String> = ["one", "two", "two"].map(|who| anna.submit(&labelled(who))).into();
    let why = |job: &str| anna.get(&format!("/v1/jobs/{job}/explain")).is(200).json();
    eventually("the first runs", || why(&jobs[0])["wait"]["reason"] == "running");
    let third = why(&jobs[2]);
    assert_eq!((&third["state"], &third["wait"]["reason"]), (&json!("queued"), &json!("concurrent_jobs")), "{third}");
    assert_eq!((&third["wait"]["jobs_before"], &third["wait"]["most_running"]), (&json!(1), &json!(1)));
    let found = |query: &str| -> Vec<String> {
        let jobs = anna.get(&format!("/v1/jobs?{query}")).is(200).json();
        jobs["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    let newest_first: Vec<String> = jobs.iter().rev().cloned().collect();
    assert_eq!(found(""), newest_first);
    assert_eq!(found("label=who%3Dtwo"), newest_first[..2]);
    assert_eq!(found("label=who%3Dtwo,a%20b%3D%3D&state=queued&limit=1"), newest_first[..1]);
    assert_eq!(found("label=who%3Dthree"), [""; 0]);
    // It has its turn before that is written down.
    eventually("the first is known to run", || !found("state=running").is_empty());
    assert_eq!(found(&format!("kernel={digest}&state=running")), jobs[..1]);
    assert_eq!(found("created_after=99999999999999"), [""; 0]);
    // Page by page.
    let first = anna.get("/v1/jobs?limit=2&state=queued").is(200);
    let next = first.json()["next"].as_str().unwrap().to_owned();
    assert!(
        first
            .head
            .contains(&format!("link: </v1/jobs?cursor={}&limit=2&state=queued>; rel=\"next\"", next.to_lowercase()))
    );
    assert_eq!(found(&format!("limit=2&cursor={next}")), jobs[..1]);
    for (query, status) in [
        ("limit=0", 400),
        ("limit=x", 400),
        ("state=x", 400),
        ("label=x", 400),
        ("cursor=x", 400),
        ("x=1", 400),
        ("kernel=x", 404),
    ] {
        let answer = anna.get(&format!("/v1/jobs?{query}"));
        assert_eq!(answer.status, status, "{query}");
        answer.code();
    }
    for job in &jobs {
        anna.post(&format!("/v1/jobs/{job}/cancel"), "").is(202);
    }
    assert_eq!(why(&jobs[0])["detail"], "the job is over");
    server.end(Signal::TERM).code(0);
}

#[test]
fn what_came_of_a_job_is_kept_as_long_as_it_is_to_be() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("primes");
    let stored = || anna.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap();
    let before = stored();
    let kept = anna.post("/v1/blobs", "0 20\n").is(201).json()["digest"].as_str().unwrap().to_owned();
    let short = json!({ "kernel": "primes", "input": [{ "text": "0 10\n" }, { "blob": kept }], "keep_seconds": 0 });
    let (short, long) =
        (anna.submit(&short), anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 30\n" } })));
    let expires = |job: &Value| job["expires"].as_i64().unwrap() - job["ended"].as_i64().unwrap();
    assert!(expires(&anna.wait(&long)) / 1000 >= 30 * 24 * 3600 - 5);
    anna.wait(&short);
    eventually("it has gone", || anna.get(&format!("/v1/jobs/{short}")).is(200).json()["gone"] == true);
    assert_eq!(anna.get(&format!("/v1/jobs/{short}/result")).is(410).code(), "gone");
    // What was stored by itself stays.
    assert_eq!(anna.get(&format!("/v1/blobs/{kept}")).is(200).text(), "0 20\n");
    assert_eq!(anna.get(&format!("/v1/jobs/{long}/result")).is(200).text(), "10\n");
    // One that is forgotten goes at once; its record stays.
    anna.send("DELETE", &format!("/v1/jobs/{long}"), "", b"").is(204);
    assert_eq!(anna.get(&format!("/v1/jobs/{long}/result")).is(410).code(), "gone");
    assert_eq!(anna.get(&format!("/v1/jobs/{long}")).is(200).json()["state"], "succeeded");
    assert_eq!(stored(), before + BLOCK);
    anna.send("DELETE", &format!("/v1/blobs/{kept}"), "", b"").is(204);
    assert_eq!(stored(), before);
    // Not a byte of it is left on the disk, the kernel apart.
    let blobs = || place.files().into_iter().filter(|name| name.contains("/blobs/")).count();
    eventually("the files go", || blobs() == 1);
    server.end(Signal::TERM).code(0);
}
