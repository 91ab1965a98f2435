//! The processes of a server: what every user of the machine can read of them.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::chaos::runs_of;
use super::client::Server;
use crate::harness::{Place, Process, eventually};

/// What nobody but its tenant is to read.
const CANARY: &str = "CANARY-of-anna";

/// The same for those that it tells of a job.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Texts that stand in the argument list or the environment of a process below a server, by what they belong to.
fn shown(server: &Server) -> Vec<(u32, String)> {
    let mut texts = Vec::new();
    for process in server.running.process.descendants() {
        for file in ["cmdline", "environ", "comm"] {
            // Those of a worker may be nobody's business at all.
            let text = fs::read(process.file(file)).unwrap_or_default();
            texts.push((process.id, String::from_utf8_lossy(&text).replace('\0', " ")));
        }
    }
    texts
}

#[test]
fn what_tenants_say_stands_in_no_argument_list_and_no_environment() {
    let place = Place::new();
    let server = Server::start_with(&place, "--webhook-network 127.0.0.0/8");
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("grep");
    let endless = anna
        .kernel_of(r#"(module (memory (export "memory") 1) (func (export "_start") (loop $for-ever (br $for-ever))))"#);
    let job = |kernel: &str, parameters: serde_json::Value| {
        anna.submit(&json!({
            "kernel": kernel,
            "input": [{ "text": format!("{CANARY}\n").repeat(4000), "name": format!("{CANARY}.txt") }],
            "parameters": parameters,
            "labels": { CANARY: CANARY },
            "callback": { "url": format!("http://127.0.0.1:1/{CANARY}"), "secret": SECRET },
        }))
    };
    // Each item has an instance of its own, and each batch one item: that takes a while.
    let slow =
        json!({ "config": { "pattern": CANARY }, "split": "lines", "fresh": "item", "batch": 1, "report": "html" });
    let jobs = [
        job("grep", slow),
        job(
            &endless,
            json!({ "arguments": [CANARY, format!("--secret={CANARY}")], "timeout": "10m", "deadline": "1h" }),
        ),
    ];
    for id in &jobs {
        let mut texts = Vec::new();
        eventually("it has a process with a worker", || {
            let folder = format!("work/{id}");
            let run = runs_of(&server)
                .into_iter()
                .find(|run| fs::read_link(run.file("cwd")).is_ok_and(|folder_of| folder_of.ends_with(&folder)));
            let Some(run) = run.filter(|run| !run.workers().is_empty()) else { return false };
            // So that it is there until it was looked at.
            run.signal(Signal::STOP);
            texts = shown(&server);
            run.signal(Signal::CONT);
            // As was meant: what was looked at has the run.
            texts.iter().any(|(process, text)| *process == run.id && text.contains("TASKHOST_SERVICE_PROCESS"))
        });
        let told: Vec<_> = texts.iter().filter(|(_, text)| text.contains(CANARY) || text.contains(SECRET)).collect();
        assert!(told.is_empty(), "{told:?}");
        let files: Vec<_> = texts.iter().filter(|(_, text)| text.contains("in-0-")).collect();
        assert!(files.is_empty(), "{files:?}");
        anna.post(&format!("/v1/jobs/{id}/cancel"), "");
        anna.wait(id);
    }
    server.end(Signal::TERM).code(0);
}

/// The words are read again by whoever goes on with a job.
#[test]
fn a_job_that_was_parked_has_its_words_again() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("grep");
    let parameters = json!({
        "config": { "pattern": CANARY }, "split": "lines", "fresh": "item", "batch": 1, "report": "json", "workers": 1,
    });
    let text = format!("{CANARY} \u{e4}\nno\n").repeat(2000);
    let input = json!([{ "text": text, "name": "of anna.txt" }]);
    let job = anna.submit(&json!({ "kernel": "grep", "input": input, "parameters": parameters }));
    let journal = place.path(format!("data/work/{job}/journal"));
    eventually("it has begun", || {
        let Some(run) = runs_of(&server).into_iter().find(|run| !run.workers().is_empty()) else { return false };
        // It stays where it is, until it is told to park.
        run.signal(Signal::STOP);
        let has_begun = journal.exists();
        if !has_begun {
            run.signal(Signal::CONT);
        }
        has_begun
    });
    server.end(Signal::TERM).code(0);
    assert!(journal.exists(), "it is parked");
    let server = Server::start(&place);
    let anna = anna.at(&server);
    let ended = anna.wait(&job);
    assert_eq!((&ended["state"], &ended["attempts"]), (&json!("succeeded"), &json!(2)), "{ended}");
    let report = anna.get(&format!("/v1/jobs/{job}/report")).is(200).json();
    let command = report["command"].to_string();
    assert!(command.contains("--config=pattern=CANARY-of-anna") && command.contains("of anna.txt"), "{command}");
    let result = anna.get(&format!("/v1/jobs/{job}/result")).is(200).text();
    assert_eq!(result.lines().filter(|line| line.contains(CANARY)).count(), 2000);
    server.end(Signal::TERM).code(0);
}

/// What is given up is seen from outside, and who is ended first when there is no memory.
#[test]
fn the_server_gives_up_what_it_does_not_need_and_is_ended_last() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 1000000");
    anna.kernel("primes");
    anna.call("primes", "0 10").is(200);
    let this = Process::open(std::process::id()).unwrap();
    let own = &server.running.process;
    let score =
        |process: &Process| fs::read_to_string(process.file("oom_score_adj")).unwrap().trim().parse::<i32>().unwrap();
    let cores = |process: &Process| {
        let limits = fs::read_to_string(process.file("limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        line.split_whitespace().filter(|word| *word == "0").count()
    };
    // That of whoever has started it: nobody has changed it, although its workers are made in its memory.
    assert_eq!((own.status("NoNewPrivs"), cores(own), score(own)), ("1".to_owned(), 2, score(&this)));
    let text = "0 300000\n".repeat(10_000);
    anna.submit(&json!({ "kernel": "primes", "input": { "text": text }, "parameters": { "batch": 1 } }));
    let mut run = None;
    eventually("a job has a worker", || {
        run = runs_of(&server).into_iter().find(|run| !run.workers().is_empty());
        run.is_some()
    });
    let run = run.unwrap();
    assert_eq!((run.status("NoNewPrivs"), cores(&run), score(&run)), ("1".to_owned(), 2, score(&this).max(500)));
    let workers: Vec<Process> = own.workers().into_iter().chain(run.workers()).collect();
    assert!(workers.len() >= 2, "of calls and of the job");
    for worker in &workers {
        assert_eq!((worker.status("NoNewPrivs"), score(worker)), ("1".to_owned(), 1000));
    }
    server.end(Signal::TERM).code(0);
}
