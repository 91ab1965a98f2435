//! `taskhost run --server` beside `taskhost run`: the same results in the same place, the same exit codes. And `taskhost job`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use super::client::{BLOCK, Client, Server};
use crate::harness::{Outcome, Place, Program, eventually};

/// A program that finds the service in its environment.
fn there(place: &Place, address: &str, arguments: &str) -> Program {
    let program = place.taskhost(arguments).env("TASKHOST_SERVER", format!("http://{address}"));
    program.env("TASKHOST_TOKEN_FILE", place.path("token"))
}

fn anna(place: &Place, server: &Server) -> Client {
    let anna = server.tenant(place, "anna", "--requests 100000");
    place.write("token", format!("{}\n", anna.token));
    anna
}

/// Runs the same here and there.
#[track_caller]
fn both(place: &Place, server: &Server, arguments: &str, code: i32) -> (Outcome, Outcome) {
    let here = place.taskhost(arguments).run().code(code);
    let flags = format!("{arguments} --server http://{} --token-file token", server.address);
    let there = place.taskhost(&flags).run().code(code);
    assert_eq!(String::from_utf8_lossy(&there.stdout), String::from_utf8_lossy(&here.stdout), "{arguments}");
    (here, there)
}

#[test]
fn the_same_results_and_the_same_codes() {
    let place = Place::new();
    let server = Server::start(&place);
    anna(&place, &server);
    place.write("in.txt", "0 10\n0 100\n5 7\n");
    place.write("bad.txt", "0 10\nno numbers\n5 7\n");
    place.write("ä.txt", "0 10\n");
    place.write("no.wasm", "no kernel");
    place.write("long.txt", "0 4000000000\n");
    place.taskhost("run echo in.txt -o in.txt.gz").run().code(0);
    both(&place, &server, "run primes in.txt", 0);
    both(&place, &server, "run primes in.txt.gz", 0);
    both(&place, &server, "run primes in.txt bad.txt ä.txt --on-error skip -q", 3);
    let (here, there) = both(&place, &server, "run primes in.txt bad.txt --on-error skip", 3);
    for said in ["error: bad.txt, item ", "failed: output written without 1 item: standard output"] {
        assert!(here.stderr.contains(said) && there.stderr.contains(said), "{}\n{}", here.stderr, there.stderr);
    }
    both(&place, &server, "run no.wasm in.txt", 4);
    both(&place, &server, "run primes in.txt --split records:0", 2);
    both(&place, &server, "run primes missing.txt", 5);
    both(&place, &server, "run primes long.txt --deadline 1s", 7);
    both(&place, &server, "run wordcount in.txt bad.txt", 0);
    // Files, with errors beside.
    for (name, server) in
        [("here", None), ("there", Some(format!(" --server http://{} --token-file token", server.address)))]
    {
        let flags = server.unwrap_or_default();
        place
            .taskhost(&format!("run primes bad.txt -o {name}.txt --errors {name}.jsonl --on-error skip{flags}"))
            .run()
            .code(3);
        place.taskhost(&format!("run primes bad.txt -o {name}-none.txt{flags}")).run().code(3);
        place.taskhost(&format!("run primes in.txt.gz -o {name}-unpacked.txt{flags}")).run().code(0);
        assert!(!place.path(format!("{name}-none.txt")).exists());
    }
    assert_eq!(place.text("here.txt"), place.text("there.txt"));
    assert_eq!(place.read("here-unpacked.txt"), place.read("there-unpacked.txt"));
    let item = |name: &str| -> Value { serde_json::from_str(&place.text(name)).unwrap() };
    let (here, there) = (item("here.jsonl"), item("there.jsonl"));
    for field in ["item", "source", "offset", "length", "line", "verdict", "message"] {
        assert_eq!(here[field], there[field], "{field}");
    }
    server.end(Signal::TERM).code(0);
}

/// The headings of a page.
fn headings(page: &str) -> Vec<&str> {
    page.split("<h2>").skip(1).filter_map(|rest| rest.split("</h2>").next()).collect()
}

#[test]
fn a_report_is_what_a_run_here_would_write() {
    let place = Place::new();
    let server = Server::start(&place);
    anna(&place, &server);
    place.write("bad.txt", "0 10\nno numbers\n5 7\n");
    place.taskhost("run primes bad.txt --on-error skip --report here.html").run().code(3);
    there(&place, &server.address, "run primes bad.txt --on-error skip --report there.html").run().code(3);
    let (here, remote) = (place.text("here.html"), place.text("there.html"));
    assert_eq!(headings(&remote), headings(&here));
    assert!(headings(&here).contains(&"Timeline"), "{here}");
    for text in ["bad.txt, item 1", "kernel-error"] {
        assert!(here.contains(text) && remote.contains(text), "{text}: {remote}");
    }
    place.taskhost("run primes bad.txt --on-error skip --report here.json -o here.txt").run().code(3);
    let run =
        there(&place, &server.address, "run primes bad.txt --on-error skip --report - -o there.txt").run().code(3);
    let here: Value = serde_json::from_str(&place.text("here.json")).unwrap();
    let remote: Value = serde_json::from_str(run.text()).unwrap();
    for field in ["version", "exit_code", "items", "failed_items", "input_bytes", "output_bytes", "verdicts"] {
        assert_eq!(remote[field], here[field], "{field}");
    }
    // What cannot be written is said, and costs the code of a run that was well otherwise.
    let run = there(&place, &server.address, "run primes --report no/folder.html").input("0 10\n").run().code(5);
    assert!(run.stderr.contains("no/folder.html cannot be written"), "{}", run.stderr);
    server.end(Signal::TERM).code(0);
}

#[test]
fn pictures_pipes_and_kernels_that_are_only_there() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = anna(&place, &server);
    let picture = format!("{}/examples/pictures/astronaut.png", env!("CARGO_MANIFEST_DIR"));
    place.taskhost("run sobel -o here.png").argument(&picture).run().code(0);
    there(&place, &server.address, "run sobel -o there.png").argument(&picture).run().code(0);
    assert_eq!(place.read("here.png"), place.read("there.png"));
    // More than goes with the job itself, through a pipe.
    let lines = "some words and others\n".repeat(20_000);
    let here = place.taskhost("run grep -c pattern=others").input(&lines).run().code(0);
    let out = there(&place, &server.address, "run grep -c pattern=others").input(&lines).run().code(0);
    assert_eq!(out.stdout, here.stdout);
    // A name that only the service knows.
    let digest = anna.kernel("primes");
    let meaning = format!("{{\"digest\": \"{digest}\"}}");
    anna.send("PUT", "/v1/aliases/mine", "", meaning.as_bytes()).is(200);
    let mine = there(&place, &server.address, "run mine").input("0 10\n").run().code(0);
    assert_eq!(mine.text(), "4\n");
    let unknown = there(&place, &server.address, "run yours").input("0 10\n").run().code(5);
    assert!(unknown.stderr.contains("there is no kernel yours"), "{}", unknown.stderr);
    // What is there already is not sent again: the same input is one content. New is the log of the run alone.
    let stored = || anna.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap();
    let before = stored();
    there(&place, &server.address, "run grep -c pattern=others").input(&lines).run().code(0);
    assert!((before..=before + BLOCK).contains(&stored()), "{before} and {}", stored());
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_folder_becomes_a_folder() {
    let place = Place::new();
    let server = Server::start(&place);
    anna(&place, &server);
    for number in 0..12 {
        place.write(&format!("in/{}/{number}.txt", number % 3), format!("0 {number}00\n"));
    }
    place.write("in/bad.txt", "0 10\nno numbers\n");
    let here = place.taskhost("run primes in -o here/ --split lines").run().code(3);
    let out = there(&place, &server.address, "run primes in -o there/ --split lines").run().code(3);
    for said in ["error: bad.txt, item ", "failed: output written without 1 item: "] {
        assert!(here.stderr.contains(said) && out.stderr.contains(said), "{}\n{}", here.stderr, out.stderr);
    }
    let results = |folder: &str| {
        let files = place.files().into_iter().filter(|name| name.starts_with(folder));
        files.map(|name| (name[folder.len()..].to_owned(), place.text(&name))).collect::<Vec<_>>()
    };
    assert_eq!(results("here/").len(), 13);
    assert_eq!(results("here/"), results("there/"));
    let again = there(&place, &server.address, "run primes in -o there/ --skip-existing").run().code(0);
    assert!(again.stderr.contains("13 left out"), "{}", again.stderr);
    server.end(Signal::TERM).code(0);
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    let place = Place::new();
    place.write("in.txt", "0 10\n");
    place.write("token", "th_x");
    let server = "--server http://127.0.0.1:1 --token-file token";
    for (flags, says) in [
        (format!("run primes in.txt --profile p.json {server}"), "--profile cannot be had of a service (--server)"),
        (format!("run primes in.txt -o out/ --report r.html {server}"), "--report is of one job"),
        (format!("run primes in.txt --journal j {server}"), "--journal cannot be had of a service"),
        (format!("run primes in.txt --unordered {server}"), "--unordered cannot be had"),
        (format!("run primes in.txt --sandbox off {server}"), "--sandbox"),
        (format!("run primes in.txt --engine slurm {server}"), "--engine cannot be had"),
        (format!("run primes in.txt -o rows.sqlite::t {server}"), "rows of the table t of a database cannot be had"),
        (format!("run primes in.txt -o x.gz {server}"), "compressed with gzip cannot be had"),
        ("run primes in.txt --server http://127.0.0.1:1".into(), "wants a token"),
        ("run primes in.txt --token-file token".into(), "--token-file is for a service"),
        ("run primes in.txt --server 127.0.0.1:1 --token-file token".into(), "begins with https:// or http://"),
        ("job list".into(), "name the service"),
        (format!("job show ../x {server}"), "is no number of a job"),
    ] {
        let outcome = place.taskhost(&flags).run().code(2);
        assert!(outcome.stderr.contains(says), "{flags}: {}", outcome.stderr);
    }
    // Nobody is there: that is said soon.
    let nobody = place.taskhost(&format!("run primes in.txt {server}")).run().code(5);
    assert!(nobody.stderr.contains("http://127.0.0.1:1 does not answer"), "{}", nobody.stderr);
    // The variables are for every run; one can still be had here.
    let here = there(&place, "127.0.0.1:1", "run primes in.txt").arguments("--server").argument("").run().code(0);
    assert_eq!(here.text(), "4\n");
}

#[test]
fn what_would_be_done_there_is_told_and_what_is_urgent_is_said() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = anna(&place, &server);
    place.write("in.txt", "0 10\n");
    let run = |flags: &str| there(&place, &server.address, &format!("run primes in.txt {flags}")).run();
    let planned = run("--dry-run").code(0);
    assert!(planned.text().contains("not there yet") && planned.text().contains("in.txt"), "{}", planned.text());
    assert!(anna.get("/v1/kernels").is(200).json()["kernels"].as_array().unwrap().is_empty());
    assert_eq!(run("--priority -7").code(0).text(), "4\n");
    let planned = run("-n --merge concat").code(0);
    for line in ["split    lines (by the kernel)\n", "merge    concat (by flag)\n", "output   standard output\n"] {
        assert!(planned.text().contains(line), "{}", planned.text());
    }
    let jobs = anna.get("/v1/jobs").is(200).json();
    assert_eq!((jobs["jobs"].as_array().unwrap().len(), &jobs["jobs"][0]["priority"]), (1, &serde_json::json!(-7)));
    place.taskhost("tenant set anna --data data --queued-jobs 0").run().code(0);
    assert!(run("--dry-run").code(7).stderr.contains("queued_jobs"));
    let here = place.taskhost("run primes in.txt --priority 1").run().code(2);
    assert!(here.stderr.contains("--priority is for a run that a service does"), "{}", here.stderr);
    server.end(Signal::TERM).code(0);
}

#[test]
fn ctrl_c_cancels_and_jobs_can_be_looked_after() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = anna(&place, &server);
    place.write("long.txt", "0 4000000000\n");
    place.write("bad.txt", "0 10\nno numbers\n");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 130)] {
        let running = there(&place, &server.address, "run primes long.txt -o never.txt").start();
        let is_running = || anna.get("/v1/jobs?state=running").is(200).json()["jobs"].as_array().unwrap().len() == 1;
        eventually("the job runs", is_running);
        running.process.signal(signal);
        let outcome = running.end().code(code);
        assert!(outcome.stderr.contains("the job is cancelled"), "{}", outcome.stderr);
        assert!(anna.get("/v1/jobs?state=running").is(200).json()["jobs"].as_array().unwrap().is_empty());
        assert!(!place.path("never.txt").exists());
    }
    there(&place, &server.address, "run primes bad.txt --on-error skip").run().code(3);
    let job = |arguments: &str| there(&place, &server.address, &format!("job {arguments}")).run();
    let list = job("list").code(0);
    assert_eq!(list.text().lines().count(), 4);
    assert!(list.text().contains("partial") && list.text().contains("cancelled"), "{}", list.text());
    let partial = job("list --state partial --json").code(0);
    let partial: Value = serde_json::from_str(partial.text()).unwrap();
    let id = partial["id"].as_str().unwrap();
    let show = job(&format!("show {id}")).code(0);
    assert!(show.text().contains("failed items  1"), "{}", show.text());
    let shown: Value = serde_json::from_str(job(&format!("show {id} --json")).code(0).text()).unwrap();
    assert_eq!(shown["id"], id);
    let logs = job(&format!("logs {id}")).code(0);
    assert!(logs.text().contains("item 1") && logs.text().contains("bad.txt"), "{}", logs.text());
    let over = job(&format!("cancel {id}")).code(5);
    assert!(over.stderr.contains("the job is over"), "{}", over.stderr);
    assert!(job("show 0123456789abcdefghijklmn").code(5).stderr.contains("no such job"));
    assert_eq!(job("list --state none").code, 2);
    // One that another cancels ends like a run that is told to end.
    let running = there(&place, &server.address, "run primes long.txt").start();
    let first = || anna.get("/v1/jobs?state=running").is(200).json()["jobs"][0]["id"].as_str().map(str::to_owned);
    eventually("the job runs", || first().is_some());
    job(&format!("cancel {}", first().unwrap())).code(0);
    assert!(running.end().code(143).stderr.contains("not by this run"));
    server.end(Signal::TERM).code(0);
}

/// Results come as they are there, and a reader that has enough ends the job.
#[test]
fn results_are_written_as_they_come_to_be() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = anna(&place, &server);
    place.write("long.txt", format!("{}0 4000000000\n", "0 300000\n".repeat(20)));
    let mut running = there(&place, &server.address, "run primes long.txt --batch 1").start();
    for _ in 0..5 {
        assert_eq!(running.line(), "25997");
    }
    running.process.signal(Signal::INT);
    let outcome = running.end().code(130);
    assert!(outcome.text().lines().all(|line| line == "25997"), "{}", outcome.text());
    place.write("more.txt", "0 300000\n".repeat(100_000));
    let mut running = there(&place, &server.address, "run primes more.txt --batch 1").start();
    assert_eq!(running.line(), "25997");
    running.stop_reading();
    let outcome = running.end().code(141);
    assert_eq!(outcome.stderr, "");
    let is_over = || anna.get("/v1/jobs?state=running").is(200).json()["jobs"].as_array().unwrap().is_empty();
    eventually("the job is cancelled", is_over);
    server.end(Signal::TERM).code(0);
}

/// Between a client and a server: cuts off connections, at first before an answer comes through.
fn cutting(to: String, cuts: u32) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let cut = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&cut);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&to).unwrap();
            let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut into));
            let count = Arc::clone(&count);
            std::thread::spawn(move || forward(server, client, &count, cuts));
        }
    });
    (address, cut)
}

/// Hands on what the server answers; the first answer of every connection is cut off in its middle, so many times.
fn forward(mut server: TcpStream, mut client: TcpStream, count: &AtomicU32, cuts: u32) {
    let mut buffer = [0; 4096];
    loop {
        let read = server.read(&mut buffer).unwrap_or(0);
        let is_cut = count.load(Ordering::SeqCst) < cuts;
        let sent = client.write_all(&buffer[..if is_cut { read / 2 } else { read }]);
        if is_cut {
            count.fetch_add(1, Ordering::SeqCst);
        }
        if read == 0 || is_cut || sent.is_err() {
            let _ = client.shutdown(std::net::Shutdown::Both);
            let _ = server.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

#[test]
fn a_connection_that_is_lost_costs_time_alone() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = anna(&place, &server);
    let input = "0 10\n".repeat(30_000);
    place.write("in.txt", &input);
    let (address, cut) = cutting(server.address.clone(), 6);
    let outcome = there(&place, &address, "run primes in.txt").run().code(0);
    assert_eq!(outcome.text(), "4\n".repeat(30_000));
    assert_eq!(cut.load(Ordering::SeqCst), 6);
    // However often it was asked for, it was done once.
    assert_eq!(anna.get("/v1/jobs").is(200).json()["jobs"].as_array().unwrap().len(), 1);
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_server_that_is_started_anew_is_waited_for() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = anna(&place, &server);
    let address = server.address.clone();
    place.write("in.txt", "0 300000\n".repeat(100));
    let running = there(&place, &address, "run primes in.txt --batch 1").start();
    let is_running = || anna.get("/v1/jobs?state=running").is(200).json()["jobs"].as_array().unwrap().len() == 1;
    eventually("the job runs", is_running);
    server.end(Signal::KILL).code(137);
    let server = Server::start_at(&place, &address);
    assert_eq!(running.end().code(0).text(), "25997\n".repeat(100));
    server.end(Signal::TERM).code(0);
}
