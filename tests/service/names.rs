//! What inputs are called: as their owner calls them, wherever that is shown, and never as a file of the server.

use rustix::process::Signal;
use serde_json::json;

use super::client::{Client, Server};
use crate::harness::{Place, eventually};

/// A program that prints its environment, copies its input, or fails, as its argument says.
fn program(client: &Client) -> String {
    client.kernel_of(std::fs::read(format!("{}/tests/kernels/program.wat", env!("CARGO_MANIFEST_DIR"))).unwrap())
}

#[test]
fn a_kernel_sees_the_name_that_its_owner_gave() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    let kernel = program(&anna);
    for name in ["../../etc/passwd", "folder/ä picture.png", "-", "--sandbox=off", "/", "in-0-"] {
        let job = json!({
            "kernel": &kernel,
            "input": [{ "text": "x\n", "name": name }, { "text": "y\n", "name": "second.txt" }],
            "parameters": { "arguments": ["e"], "split": "lines", "merge": "concat" },
        });
        let job = anna.submit(&job);
        let ended = anna.wait(&job);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let result = anna.get(&format!("/v1/jobs/{job}/result")).is(200);
        let wanted = format!("TASKHOST_ITEM=0\0TASKHOST_SOURCE={name}\0TASKHOST_ITEM=2\0TASKHOST_SOURCE=second.txt\0");
        assert_eq!(result.text(), wanted);
    }
    for name in ["", "a\nb", "a\u{1b}[31m"] {
        let job = json!({ "kernel": &kernel, "input": [{ "text": "x\n", "name": name }] });
        assert_eq!(anna.post("/v1/jobs", job.to_string()).is(422).code(), "bad-job", "{name:?}");
    }
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    server.end(Signal::TERM).code(0);
}

/// Whatever goes wrong, nothing that is answered or kept says where the server has its things.
#[test]
fn no_answer_has_a_path_of_the_server() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("sobel");
    anna.kernel("primes");
    let kernel = program(&anna);
    let name = "folder/input.png";
    let inputs = json!([{ "text": "no picture\n", "name": name }]);
    let jobs = [
        (json!({ "kernel": "sobel", "input": &inputs }), 5),
        (json!({ "kernel": "sobel", "input": &inputs, "output": "nothing" }), 5),
        (json!({ "kernel": "primes", "input": &inputs, "parameters": { "split": "lines" } }), 3),
        (json!({ "kernel": "primes", "input": &inputs, "parameters": { "split": "records:0" } }), 2),
        (json!({ "kernel": &kernel, "input": &inputs, "parameters": { "arguments": ["x"] } }), 3),
        (json!({ "kernel": &kernel, "input": &inputs, "parameters": { "arguments": ["t"], "on_error": "skip" } }), 3),
        (json!({ "kernel": &kernel, "input": &inputs, "parameters": { "config": { "a": "b" } } }), 2),
        (json!({ "kernel": "primes", "input": &inputs, "parameters": { "size": "9x9" } }), 2),
    ];
    let (folder, mut said) = (place.path("data").canonicalize().unwrap().display().to_string(), String::new());
    for (number, (mut job, code)) in jobs.into_iter().enumerate() {
        job["parameters"]["report"] = json!(["html", "json"][number % 2]);
        let asked = job.to_string();
        let job = anna.submit(&job);
        let ended = anna.wait(&job);
        assert_eq!(ended["exit_code"], code, "{asked}: {ended}");
        let mut texts = ended["message"].to_string();
        for what in ["log", "failures", "explain", "events", "report"] {
            texts.push_str(&anna.get(&format!("/v1/jobs/{job}/{what}")).text());
        }
        assert!(!texts.contains(&folder) && !texts.contains("/work/"), "{asked}: {texts}");
        assert!(!texts.contains("in-0-"), "{asked}: {texts}");
        said.push_str(&texts);
    }
    assert!(said.contains(name), "{said}");
    // Whoever reads that has no command line.
    for (parameters, message) in [
        (
            json!({ "on_error": "perhaps" }),
            "error: invalid value 'perhaps' for 'on_error'\n  [possible values: fail, skip]",
        ),
        (json!({}), "no output: result; to have it without the items that fail, say \"on_error\": \"skip\""),
    ] {
        let job =
            anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 10\nx\n" }, "parameters": parameters }));
        let ended = anna.wait(&job)["message"].as_str().unwrap().to_owned();
        assert!(ended.contains(message), "{ended}");
        let log = anna.get(&format!("/v1/jobs/{job}/log")).is(200).text();
        assert!(!log.contains("taskhost resume") && !log.contains("--"), "{log}");
    }
    for bytes in ["no kernel", "(module (import \"a\" \"b\" (func)))"] {
        let refused = anna.post("/v1/kernels", bytes).is(422).text();
        assert!(!refused.contains(&folder) && !refused.contains("incoming"), "{refused}");
    }
    server.end(Signal::TERM).code(0);
}

/// What failed is found by the name of its input, as long as that says which it is.
#[test]
fn what_failed_is_found_by_its_name() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("primes");
    let with = |names: [&str; 2]| {
        let inputs = [("0 10\nx\n", names[0]), ("y\n", names[1])];
        let inputs: Vec<_> = inputs.iter().map(|(text, name)| json!({ "text": text, "name": name })).collect();
        let job = anna.submit(&json!({ "kernel": "primes", "input": inputs, "parameters": { "on_error": "skip" } }));
        assert_eq!(anna.wait(&job)["state"], "partial");
        anna.post(&format!("/v1/jobs/{job}/retry"), "")
    };
    let again = with(["a/x.txt", "b/x.txt"]).is(202).json();
    let names: Vec<_> = again["inputs"].as_array().unwrap().iter().map(|input| input["name"].clone()).collect();
    assert_eq!(names, ["a/x.txt", "b/x.txt"]);
    assert_eq!(anna.wait(again["id"].as_str().unwrap())["failed_items"], 2);
    let refused = with(["x.txt", "x.txt"]).is(409);
    assert!(refused.text().contains("two of its inputs have one name"), "{}", refused.text());
    server.end(Signal::TERM).code(0);
}
