//! The report of a job's run: for whoever asked for one, and with nothing in it of the machine that it was made on.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{BLOCK, Server};
use super::restart::is_under_way;
use crate::harness::Place;

/// What would be markup, were it taken for it.
const NAME: &str = "folder/<b>.txt";

#[test]
fn a_report_is_kept_with_its_job_and_says_nothing_of_the_machine() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    let bert = server.tenant(&place, "bert", "");
    anna.kernel("primes");
    let asked = |report: Value| {
        let parameters = json!({ "on_error": "skip", "config": { "x": "y" }, "report": report });
        json!({ "kernel": "primes", "input": [{ "text": "0 10\nno\n0 100\n", "name": NAME }], "parameters": parameters })
    };
    assert_eq!(anna.post("/v1/jobs", asked(json!("pdf")).to_string()).is(400).code(), "bad-request");
    // A kernel that knows no setting refuses: then nothing was run, and there is no report.
    let refused = anna.submit(&asked(json!("html")));
    let ended = anna.wait(&refused);
    assert_eq!((&ended["exit_code"], &ended["report"]), (&json!(2), &Value::Null), "{ended}");
    anna.get(&format!("/v1/jobs/{refused}/report")).is(404);
    let asked = |report: &str| {
        let parameters = json!({ "on_error": "skip", "timeout": "50s", "report": report });
        json!({ "kernel": "primes", "input": [{ "text": "0 10\nno\n0 100\n", "name": NAME }], "parameters": parameters })
    };
    let folder = place.path("data").canonicalize().unwrap().display().to_string();
    let digest = anna.get("/v1/aliases/primes").is(200).json()["digest"].as_str().unwrap().to_owned();
    let machine = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut texts = String::new();
    for (form, content_type) in [("html", "text/html; charset=utf-8"), ("json", "application/json")] {
        let job = anna.submit(&asked(form));
        let ended = anna.wait(&job);
        let path = format!("/v1/jobs/{job}/report");
        assert_eq!(ended["report"]["href"], json!(path), "{ended}");
        let report = anna.get(&path).is(200);
        assert_eq!(report.header("content-type"), Some(content_type));
        assert_eq!(report.header("x-content-type-options"), Some("nosniff"));
        let policy = report.header("content-security-policy").unwrap();
        assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("script"), "{policy}");
        let text = report.text();
        for of_the_server in [folder.as_str(), "/work/", "in-0-", "--journal", "--sandbox", machine.trim()] {
            assert!(!text.contains(of_the_server), "{of_the_server}: {text}");
        }
        assert!(text.contains(&digest[7..19]) && text.contains("--timeout=50s"), "{text}");
        texts.push_str(&text);
        bert.get(&path).is(404);
        // It goes with what came of the job.
        let before = anna.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap();
        anna.send("DELETE", &format!("/v1/jobs/{job}"), "", b"").is(204);
        anna.get(&path).is(410);
        let after = anna.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap();
        assert!(before - after >= text.len() as u64, "{before} and {after}: {}", text.len());
    }
    assert!(texts.contains("<h2>Timeline</h2>") && texts.contains("folder/&lt;b&gt;.txt"), "{texts}");
    assert!(texts.contains("\"source\": \"folder/<b>.txt\"") || texts.contains("\"folder/<b>.txt\""), "{texts}");
    // One that runs has none yet, and one that did not ask never will.
    let long = json!({ "kernel": "primes", "input": { "text": "0 4000000000\n" }, "parameters": { "report": "html" } });
    let long = anna.submit(&long);
    assert_eq!(anna.get(&format!("/v1/jobs/{long}/report")).is(409).code(), "not-finished");
    anna.post(&format!("/v1/jobs/{long}/cancel"), "").is(202);
    let without = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 10\n" } }));
    assert_eq!(anna.wait(&without)["report"], Value::Null);
    assert_eq!(anna.get(&format!("/v1/jobs/{without}/report")).is(404).code(), "not-found");
    server.end(Signal::TERM).code(0);
}

/// Of each number it is said whether it is of all processes of a job or of the last.
#[test]
fn a_report_of_a_job_that_went_on_says_what_was_before() {
    const ITEMS: u64 = 300;
    let place = Place::new();
    let mut server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    anna.kernel("primes");
    let asked = |form: &str| {
        let input = "0 300000\n".repeat(usize::try_from(ITEMS).unwrap());
        let parameters = json!({ "batch": 1, "workers": 1, "report": form });
        json!({ "kernel": "primes", "input": { "text": input }, "parameters": parameters })
    };
    let jobs = ["html", "json"].map(|form| anna.submit(&asked(form)));
    for (signal, code) in [(Signal::KILL, 137), (Signal::TERM, 0)] {
        jobs.iter().for_each(|job| is_under_way(&place, job));
        server.end(signal).code(code);
        server = Server::start(&place);
    }
    let anna = anna.at(&server);
    let [page, facts] = jobs.map(|job| {
        let ended = anna.wait(&job);
        assert_eq!((&ended["state"], &ended["items"]), (&json!("succeeded"), &json!(ITEMS)), "{ended}");
        (anna.get(&format!("/v1/jobs/{job}/report")).is(200), ended)
    });
    let (text, ended) = (page.0.text(), page.1);
    assert!(ended["attempts"].as_u64().unwrap() >= 2, "{ended}");
    for said in [" before the one that made this report: ", "had been done, in about", "in the last process"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let (report, ended) = (facts.0.json(), facts.1);
    let (earlier, number) = (&report["earlier"], |value: &Value| value.as_u64().unwrap());
    assert_eq!((number(&earlier["processes"]) + 1, number(&report["items"])), (number(&ended["attempts"]), ITEMS));
    // What the last process ran is what those before had not done.
    let own: u64 = report["workers"].as_array().unwrap().iter().map(|worker| number(&worker["items"])).sum();
    let done = number(&earlier["items"]);
    assert!(done > 0 && done + own == ITEMS, "{report}");
    // They had a worker that did nothing else.
    let seconds = |value: &Value| value.as_f64().unwrap();
    assert!(seconds(&earlier["wall_seconds"]) > 0.0 && seconds(&earlier["cpu_seconds"]) > 0.0, "{earlier}");
    let all = seconds(&report["cpu_seconds"]) + seconds(&report["coordinator"]["cpu_seconds"]);
    let all = all + seconds(&earlier["cpu_seconds"]);
    assert!(number(&ended["cpu_ms"]) as f64 >= (all * 1000.0).floor(), "{ended}: {all}");
    server.end(Signal::TERM).code(0);
}

/// A report that has no room is not kept, and what the job made is all the same.
#[test]
fn a_report_counts_like_all_that_is_kept() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("primes");
    let stored = anna.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap();
    // Room for an input, a result and what the run says, and for no page.
    place.taskhost(&format!("tenant set anna --data data --stored {}", stored + 3 * BLOCK)).run().code(0);
    let parameters = json!({ "report": "html" });
    let job = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 10\n" }, "parameters": parameters }));
    let ended = anna.wait(&job);
    assert_eq!((&ended["state"], &ended["report"]), (&json!("succeeded"), &Value::Null), "{ended}");
    assert_eq!(anna.get(&format!("/v1/jobs/{job}/result")).is(200).text(), "4\n");
    server.end(Signal::TERM).code(0);
}
