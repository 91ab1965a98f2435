//! A backup that is taken while everything is in use: a server that starts in it has all that was acknowledged.

use rustix::process::Signal;
use serde_json::json;

use super::client::Server;
use crate::harness::{Place, eventually};

#[test]
fn a_backup_that_is_taken_while_it_runs_restores() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--concurrent-jobs 2 --requests 100000");
    anna.kernel("primes");
    let job = |text: &str| json!({ "kernel": "primes", "input": { "text": text }, "parameters": { "workers": 1, "batch": 1 } });
    let done = anna.submit(&job("0 10\n"));
    anna.wait(&done);
    let blob = anna.post("/v1/blobs", "kept").is(201).json()["digest"].as_str().unwrap().to_owned();
    let runs = anna.submit(&job(&"0 300000\n".repeat(100)));
    eventually("it runs", || anna.get(&format!("/v1/jobs/{runs}")).is(200).json()["state"] == "running");
    let waits = anna.submit(&job("0 20\n"));
    place.taskhost("tenant backup copy --data data").run().code(0);
    // What comes after it is not in it, and what goes after it is.
    let late = anna.submit(&job("0 30\n"));
    anna.send("DELETE", &format!("/v1/blobs/{blob}"), "", b"").is(204);
    anna.send("DELETE", &format!("/v1/jobs/{done}"), "", b"").is(204);
    let there = place.taskhost("tenant backup copy --data data").run().code(2);
    assert!(there.stderr.contains("copy cannot be written"), "{}", there.stderr);
    server.end(Signal::KILL).code(137);
    let server = Server::start_in(&place, "copy", "");
    let anna = anna.at(&server);
    assert_eq!(anna.get(&format!("/v1/jobs/{done}/result")).is(200).text(), "4\n");
    assert_eq!(anna.get(&format!("/v1/blobs/{blob}")).is(200).text(), "kept");
    anna.get(&format!("/v1/jobs/{late}")).is(404);
    for (job, wanted) in [(&runs, "25997\n".repeat(100)), (&waits, "8\n".into())] {
        assert_eq!(anna.wait(job)["state"], "succeeded");
        assert_eq!(anna.get(&format!("/v1/jobs/{job}/result")).is(200).text(), wanted);
    }
    let verified = place.taskhost("tenant audit --verify --data copy").run().code(0);
    assert!(verified.text().contains("rows of the audit log, each as it was written"), "{}", verified.text());
    server.end(Signal::TERM).code(0);
    // Of the server that was killed there is something half-written.
    std::fs::remove_dir_all(place.path("data")).unwrap();
}

#[test]
fn the_audit_log_says_who_did_what() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    server.tenant(&place, "bert", "");
    anna.kernel("primes");
    let job = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 10\n" } }));
    anna.wait(&job);
    let rows = anna.get("/v1/audit").is(200).json();
    let acts: Vec<&str> = rows["rows"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(acts, ["tenant.create", "token.create", "kernel.put", "alias.put", "job.submit"]);
    let last = &rows["rows"][4];
    assert_eq!((&last["object"], &last["actor"]), (&json!(job), &json!(anna.token[3..13])));
    // From where, and with which request, which the log has, too; the operator asked for nothing over a network.
    anna.send("DELETE", &format!("/v1/jobs/{job}"), "X-Request-Id: mine-7\r\n", b"").is(204);
    let rows = anna.get("/v1/audit").is(200).json();
    let from = |row: usize| (rows["rows"][row]["address"].clone(), rows["rows"][row]["request"].clone());
    assert_eq!((from(0), from(5)), ((json!(null), json!(null)), (json!("127.0.0.1"), json!("mine-7"))));
    assert!(from(4).1.is_string(), "{rows}");
    // The operator sees all of it, with a server and without.
    let all = place.taskhost("tenant audit --data data").run().code(0);
    server.end(Signal::TERM).code(0);
    assert_eq!(place.taskhost("tenant audit --data data").run().code(0).text(), all.text());
    assert_eq!(all.text().lines().count(), 8);
    assert!(all.text().contains("\"request\":\"mine-7\""), "{}", all.text());
    assert!(all.text().contains("\"tenant_name\":\"bert\""), "{}", all.text());
    let own = place.taskhost("tenant audit bert --data data").run().code(0);
    assert!(own.text().lines().count() == 2 && own.text().contains("\"object\":\"bert\""), "{}", own.text());
    // A row that was changed is found.
    let store = rusqlite::Connection::open(place.path("data/store.db")).unwrap();
    store.execute("UPDATE audit SET actor = 'nobody' WHERE number = 3", []).unwrap();
    drop(store);
    let found = place.taskhost("tenant audit --verify --data data").run().code(2);
    assert!(found.stderr.contains("row 3 of the audit log is not what was written"), "{}", found.stderr);
}

/// The operator's numbers are at a place of their own, where the tenants have names; nobody else sees these.
#[test]
fn numbers_of_tenants_are_told_to_the_operator_alone() {
    let place = Place::new();
    let mut server = Server::start_with(&place, "--metrics 127.0.0.1:0");
    let line = server.running.line();
    let address =
        line.strip_prefix("numbers on http://").and_then(|line| line.strip_suffix("/metrics")).unwrap().to_owned();
    let anna = server.tenant(&place, "anna", "");
    anna.kernel("primes");
    let parameters = json!({ "on_error": "skip" });
    let job = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 10\nx\n" }, "parameters": parameters }));
    anna.wait(&job);
    let ask = |address: &str, head: &str| super::client::raw(address, "GET", "/metrics", head, b"");
    // It is counted once its end was written, which is what was waited for.
    eventually("the job is counted", || {
        ask(&server.address, "").is(200).text().contains("taskhost_job_duration_seconds_count{phase=\"run\"} 1\n")
    });
    let (all, own) = (ask(&server.address, "").is(200).text(), ask(&address, "").is(200).text());
    for line in [
        "taskhost_jobs_total{outcome=\"partial\"} 1\n",
        "taskhost_items_total{outcome=\"failed\"} 1\n",
        "taskhost_traps_total{kind=\"kernel-error\"} 1\n",
        "taskhost_http_requests_total{method=\"POST\",route=\"/v1/jobs\",status=\"202\"} 1\n",
        "taskhost_job_duration_seconds_count{phase=\"run\"} 1\n",
    ] {
        assert!(all.contains(line), "{line}: {all}");
    }
    let made_of = format!(",wasmtime=\"{}\",rustc=\"1.", taskhost_worker::WASMTIME_VERSION);
    assert!(all.contains(&made_of), "{all}");
    assert!(!all.contains("anna"), "{all}");
    assert!(own.contains("taskhost_jobs_total{tenant=\"anna\",outcome=\"partial\"} 1\n"), "{own}");
    assert!(own.contains("taskhost_quota_used_ratio{tenant=\"anna\",quota=\"queued_jobs\"} 0\n"), "{own}");
    // What a proxy asks for is asked for somebody else.
    assert_eq!(ask(&server.address, "X-Forwarded-For: 192.0.2.1\r\n").is(403).code(), "local-only");
    super::client::raw(&address, "GET", "/v1/jobs", "", b"").is(404);
    server.end(Signal::TERM).code(0);
}
