//! Settings of a service: from its file, from the environment, as typed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::Signal;
use taskhost_os::container::{Refusal, refuse};

use super::client::Server;
use crate::harness::{Place, eventually};

#[test]
fn the_example_file_is_one_and_says_what_each_setting_is() {
    let place = Place::new();
    let example = format!("{}/examples/serve/taskhost.toml", env!("CARGO_MANIFEST_DIR"));
    let shown = place.taskhost("serve --check-config --config").argument(&example).run().code(0);
    assert!(shown.text().contains("data = \"/var/lib/taskhost\""), "{}", shown.text());
    assert!(shown.text().contains("taskhost.toml:"), "{}", shown.text());
    // Every setting stands in the example, if only behind a `#`.
    let text = std::fs::read_to_string(example).unwrap();
    for line in shown.text().lines() {
        let name = line.trim_start_matches("# ").split_whitespace().next().unwrap();
        assert!(text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} ="))), "{name}");
    }
}

#[test]
fn what_is_typed_comes_before_the_environment_and_that_before_the_file() {
    let place = Place::new();
    place.write("x.toml", "data = \"from-file\"\nlisten = \"127.0.0.1:1\"\nworkers = 3\nsandbox = \"auto\"\n");
    let program = place.taskhost("serve --check-config --listen 127.0.0.1:3");
    let program = program.env("TASKHOST_SERVE_CONFIG", "x.toml").env("TASKHOST_SERVE_LISTEN", "127.0.0.1:2");
    let shown = program.env("TASKHOST_SERVE_SANDBOX", "full").run().code(0);
    for line in [
        "data = \"from-file\"  # x.toml:1",
        "listen = \"127.0.0.1:3\"  # typed",
        "workers = \"3\"  # x.toml:3",
        "sandbox = \"full\"  # TASKHOST_SERVE_SANDBOX",
        "plain-http-beyond-loopback = false  # default",
    ] {
        assert!(shown.text().lines().any(|shown| shown == line), "{line}: {}", shown.text());
    }
    assert!(!place.path("from-file").exists());
}

#[test]
fn what_is_wrong_is_told_with_line_and_column() {
    let place = Place::new();
    for (text, says) in [
        ("data = \"d\"\nlisen = 1\n", "x.toml:2:1: \"lisen\" is no setting"),
        ("data = \"d\"\nlisten = \"nowhere\"\n", "x.toml:2:10: invalid value 'nowhere'"),
        ("data = \"d\n", "x.toml:1:"),
        ("workers = 2\n", "name the folder in which everything is kept"),
    ] {
        place.write("x.toml", text);
        let wrong = place.taskhost("serve --check-config --config x.toml").run().code(2);
        assert!(wrong.stderr.contains(says), "{says}: {}", wrong.stderr);
    }
    place.taskhost("serve --check-config --config none.toml").run().code(5);
    let variable = place.taskhost("serve --data d --check-config").env("TASKHOST_SERVE_LISEN", "x").run().code(2);
    assert!(variable.stderr.contains("TASKHOST_SERVE_LISEN is no setting"), "{}", variable.stderr);
}

#[test]
fn what_is_changed_in_the_file_holds_after_sighup_and_what_is_wrong_does_not() {
    let place = Place::new();
    let write = |connections: &str| {
        place.write("x.toml", format!("max-connections-per-address = {connections}\nkeep-jobs = \"2d\"\n"));
    };
    write("100");
    let server = Server::start_with(&place, "--config x.toml");
    let is_answered = || {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        // One too many is closed without a word, or reset.
        asked.is_ok() && stream.read_to_end(&mut answer).is_ok() && !answer.is_empty()
    };
    write("1");
    // As long as this one is open.
    let held = TcpStream::connect(&server.address).unwrap();
    assert!(is_answered(), "nobody has told it yet");
    server.running.process.signal(Signal::HUP);
    eventually("nobody else is answered", || !is_answered());
    write("'many'");
    server.running.process.signal(Signal::HUP);
    write("100");
    server.running.process.signal(Signal::HUP);
    eventually("everybody is answered", is_answered);
    drop(held);
    write("'many'");
    server.running.process.signal(Signal::HUP);
    assert!(is_answered());
    server.end(Signal::TERM).code(0);
    let none = place.taskhost("serve --data d --check-config --max-connections 0").run().code(2);
    assert!(none.stderr.contains("a whole number from 1 on"), "{}", none.stderr);
    // What a server would be refused for is found without one.
    for (flags, says) in [
        ("--listen 0.0.0.0:0", "there is no TLS"),
        ("--tls-cert none.pem --tls-key none.pem", "none.pem"),
        ("--kernel-keys none.pub", "none.pub"),
    ] {
        let refused = place.taskhost(&format!("serve --data d --check-config {flags}")).run().code(5);
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
    }
    // A record that goes before a repeated request does would have the same job run twice.
    let short = place.taskhost("serve --data d --check-config --keep-jobs 1h").run().code(2);
    assert!(short.stderr.contains("a day at least"), "{}", short.stderr);
}

/// Where no kernel could be run, there is no service: it says so when it is started, and not to each who asks for something.
#[test]
fn without_a_wall_that_is_insisted_on_there_is_no_service() {
    let place = Place::new();
    for refusal in [Refusal::Namespaces, Refusal::Landlock] {
        let narrowed = || {
            // For this thread alone, and what it starts.
            refuse(&[refusal]).unwrap();
            place.taskhost("serve --data data --listen 127.0.0.1:0").run()
        };
        let outcome = std::thread::scope(|scope| scope.spawn(narrowed).join().unwrap()).code(6);
        assert!(outcome.stderr.contains("that --sandbox full needs around the workers"), "{}", outcome.stderr);
        assert!(!place.path("data").exists(), "nothing was begun");
    }
}
