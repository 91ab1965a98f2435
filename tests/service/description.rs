//! The HTTP interface against its own description: requests at random, by a tool that nobody wrote for this project.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Client, Server};
use super::registries::{GOOD, registry};
use super::signatures::KERNEL;
use crate::harness::{Place, Program, skipped};
use crate::invoke::library;

/// Requests at random for each place.
const EXAMPLES: u32 = 12;

/// What has to be so of each answer. Of several such lists the last one counts.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method";

/// What is stored by those who say what it has to be.
const TEXT: &str = "0 20\n";

/// What can be asked for, so that it is there: of each place that has it the parameter of the path, or all that it has of that
/// name, and its value. The first that fits counts.
type Things = Vec<(&'static str, &'static str, String)>;

fn named(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name}: {answer}")).to_owned()
}

/// Makes some of everything.
fn things(anna: &Client, host: &str) -> Things {
    let stored = |text: &str| named(&anna.post("/v1/blobs", text).is(201).json(), "digest");
    let url = format!("http://{host}/elsewhere");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    anna.kernel("primes");
    let (blob, text) = (stored("0 10\nx\n"), stored(TEXT));
    let over = anna.submit(&json!({
        "kernel": "primes", "input": { "blob": blob }, "callback": { "url": url, "secret": secret },
        "parameters": { "on_error": "skip", "report": "html" },
    }));
    assert_eq!(anna.wait(&over)["state"], "partial");
    let cancelled = anna.submit(&json!({ "kernel": "primes", "input": { "text": "0 4000000000\n" } }));
    anna.post(&format!("/v1/jobs/{cancelled}/cancel"), "").is(202);
    let webhook = named(&anna.post("/v1/webhooks", json!({ "url": url }).to_string()).is(201).json(), "id");
    let delivery = named(&anna.post(&format!("/v1/webhooks/{webhook}/test"), "").is(202).json(), "id");
    let spare = anna.post("/v1/tokens", json!({ "scopes": ["jobs:read"] }).to_string()).is(201).json();
    let (echo, library) = (anna.kernel_of(KERNEL), anna.kernel_of(library::library()));
    vec![
        ("put /v1/kernels/{reference}", "reference", echo.clone()),
        ("delete /v1/kernels/{reference}", "reference", echo),
        ("post /v1/kernels/{reference}/invoke/{function}", "reference", library),
        ("put /v1/blobs/{digest}", "digest", text.clone()),
        ("delete /v1/blobs/{digest}", "digest", text),
        ("post /v1/jobs/{job}/cancel", "job", cancelled),
        ("", "reference", "primes".into()),
        ("", "name", "primes".into()),
        ("", "function", "is-prime".into()),
        ("", "digest", blob),
        ("", "job", over),
        ("", "webhook", webhook),
        ("", "delivery", delivery),
        ("", "key", named(&spare, "key")),
    ]
}

/// What is sent in a way that it is taken.
fn bodies(primes: &str, host: &str) -> Vec<(&'static str, Value)> {
    let job = json!({ "kernel": "primes", "input": [{ "text": "0 10\n" }] });
    let url = format!("http://{host}/elsewhere");
    vec![
        ("post /v1/kernels", json!(KERNEL)),
        ("put /v1/kernels/{reference}", json!(KERNEL)),
        ("post /v1/kernels:pull", json!({ "ref": format!("oci://{host}/anna/echo@{}", GOOD.1) })),
        ("post /v1/kernels/{reference}/invoke", json!("0 10")),
        ("post /v1/kernels/{reference}/invoke/{function}", json!(7)),
        ("put /v1/aliases/{name}", json!({ "digest": primes })),
        ("post /v1/blobs", json!(TEXT)),
        ("put /v1/blobs/{digest}", json!(TEXT)),
        ("post /v1/blobs:pull", json!({ "url": url })),
        ("post /v1/jobs", job.clone()),
        ("post /v1/jobs/batch", json!({ "jobs": [job] })),
        ("patch /v1/jobs/{job}", json!({ "labels": { "of": "anna" } })),
        ("post /v1/webhooks", json!({ "url": url })),
        ("post /v1/tokens", json!({ "scopes": ["jobs:read"] })),
    ]
}

/// The description, with what is there in place of what could be.
fn with(mut document: Value, things: &Things, bodies: &[(&str, Value)]) -> Value {
    for (path, methods) in document["paths"].as_object_mut().unwrap() {
        for (method, operation) in methods.as_object_mut().unwrap() {
            let place = format!("{method} {path}");
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten();
            for parameter in parameters.filter(|parameter| parameter["in"] == "path") {
                let fits = |(of, name, _): &&(&str, &str, String)| {
                    (of.is_empty() || *of == place) && parameter["name"] == **name
                };
                let (_, _, value) = things.iter().find(fits).unwrap_or_else(|| panic!("{place}: {parameter}"));
                parameter["schema"] = json!({ "type": "string", "enum": [value] });
                parameter["example"] = json!(value);
            }
            let content = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
            let Some(kinds) = content else { continue };
            // Which the tool cannot write.
            kinds.remove("application/wasm");
            for (kind, content) in kinds {
                // What is no JSON here is another thing, which is made up.
                let is_job = place == "post /v1/jobs" && kind != "application/json";
                let (_, body) = bodies.iter().find(|(of, _)| *of == place).unwrap_or_else(|| panic!("{place}"));
                content["example"] = if is_job { json!("0 10\n") } else { body.clone() };
            }
        }
    }
    let job = &mut document["components"]["schemas"]["NewJob"]["properties"];
    job["kernel"] = json!({ "type": "string", "enum": ["primes"] });
    document
}

/// All places of the description: the method, and the parts of the path. Those without parameters first.
fn places(document: &Value) -> Vec<(String, Vec<String>)> {
    let all = document["paths"].as_object().unwrap().iter();
    let one = |(path, methods): (&String, &Value)| {
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), parts.clone())).collect::<Vec<_>>()
    };
    let mut places: Vec<_> = all.flat_map(one).collect();
    places.sort_by_key(|(_, parts)| parts.iter().filter(|part| part.starts_with('{')).count());
    places
}

/// Whether a path is one of these.
fn is_of(path: &str, parts: &[String]) -> bool {
    let path: Vec<&str> = path.split('/').collect();
    path.len() == parts.len() && path.iter().zip(parts).all(|(one, part)| part.starts_with('{') || one == part)
}

#[test]
fn answers_are_what_the_description_says() {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/st");
    if !tool.exists() {
        return skipped("service: schemathesis", "it was not installed: tests/service/schemathesis.sh");
    }
    let place = Place::new();
    let (host, _) = registry();
    let server = Server::start_with(
        &place,
        &format!("--registry http://{host} --content-source http://{host} --webhook-network 127.0.0.0/8"),
    );
    // Nothing that is made up may wait for a quota.
    let anna = server.tenant(&place, "anna", "--requests 1000000 --queued-jobs 100000 --stored 1GB");
    let things = things(&anna, &host);
    let primes = named(&anna.get("/v1/aliases/primes").is(200).json(), "digest");
    let document: Value = serde_json::from_str(place.taskhost("serve --openapi").run().success().text()).unwrap();
    let told = with(document.clone(), &things, &bodies(&primes, &host));
    place.write("told.json", told.to_string());
    // What makes tokens is not what they are shown with: it would be told its own, and take it back.
    let scopes = anna.get("/v1/tokens").is(200).json()["tokens"][0]["scopes"].as_array().unwrap().clone();
    let others: Vec<&Value> = scopes.iter().filter(|scope| **scope != "tokens:admin").collect();
    let token = |scopes: Value| anna.post("/v1/tokens", json!({ "scopes": scopes }).to_string()).is(201).json();
    let (most, all, last) = (token(json!(others)), token(json!(scopes)), token(json!(scopes)));
    for (token, which) in [
        (&most, "--exclude-method=DELETE --exclude-path-regex=^/v1/tokens"),
        (&all, "--include-path=/v1/tokens"),
        // What is there is taken away last.
        (&last, "--include-method=DELETE"),
    ] {
        let asked = Program::of(tool.as_os_str(), &place.path(""))
            .arguments(&format!("run told.json --url=http://{} {which}", server.address))
            .argument(format!("--header=Authorization: Bearer {}", named(token, "token")))
            .arguments("--phases=examples,coverage,fuzzing --mode=all --seed=1 --workers=1 --no-color")
            .arguments("--suppress-health-check=all --generation-deterministic --request-timeout=100")
            .argument(format!("--checks={CHECKS}"))
            .argument(format!("--max-examples={EXAMPLES}"))
            .within(Duration::from_secs(600))
            .run();
        assert_eq!(asked.code, 0, "{which}: {}\n{}", asked.text(), asked.stderr);
        let asks = Client { address: server.address.clone(), token: named(token, "token") };
        // It was good to the end.
        asks.send("HEAD", "/v1/jobs", "", b"").is(200);
    }
    let log = server.end(Signal::TERM).code(0).stderr;
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
    // Each place was asked for something that is there, and did it.
    let keys = [&most, &all, &last].map(|token| named(token, "key"));
    let mut left: BTreeSet<(String, Vec<String>)> = places(&document).into_iter().collect();
    let places = places(&document);
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (Some(status), Some(path)) = (line["status"].as_u64(), line["path"].as_str()) else { continue };
        // Some requests show no token, for the sake of what is answered then; and what needs none is asked for by the tool alone.
        let is_asked = line["key"].as_str().is_none_or(|key| keys.iter().any(|own| own == key));
        assert!(status != 429 || line["key"].is_null(), "{line}");
        let fits = |(method, parts): &&(String, Vec<String>)| line["method"] == **method && is_of(path, parts);
        if let Some(place) = places.iter().find(fits).filter(|_| is_asked && (200..300).contains(&status)) {
            left.remove(place);
        }
    }
    let left: Vec<String> = left.iter().map(|(method, parts)| format!("{method} {}", parts.join("/"))).collect();
    assert_eq!(left, Vec::<String>::new(), "these did nothing");
}
