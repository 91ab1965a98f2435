//! Each quota, provoked: 429 with its name, and when to come again.

use rustix::process::Signal;
use serde_json::json;

use super::client::{Answer, BLOCK, Client, Server, raw, talk};
use super::webhooks::Receiver;
use crate::harness::{Place, eventually};

#[track_caller]
fn is_over(answer: Answer, quota: &str) {
    let answer = answer.is(429);
    assert_eq!((answer.code(), answer.json()["quota"].clone()), ("quota-exceeded".into(), json!(quota)));
    assert!(answer.header("retry-after").and_then(|time| time.parse::<u64>().ok()).is_some_and(|time| time >= 1));
}

/// A kernel of the tests.
fn kernel(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/kernels/{name}.wat", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Some hours of work.
const LONG: &str = "0 4000000000\n";

#[test]
fn each_is_refused_by_its_name() {
    let place = Place::new();
    let server = Server::start(&place);
    let job = |text: &str| json!({ "kernel": "primes", "input": { "text": text } }).to_string();
    let stored = server.tenant(&place, "stored", "--stored 100kB");
    is_over(stored.post("/v1/blobs", vec![0; 200_000]), "stored_bytes");
    let kernel = server.tenant(&place, "kernel", "--kernel-size 100");
    assert_eq!(kernel.post("/v1/kernels", vec![0; 200]).is(413).code(), "too-large");
    let requests = server.tenant(&place, "requests", "--requests 1");
    requests.get("/v1/jobs");
    is_over(requests.get("/v1/jobs"), "requests_per_second");
    let cpu = server.tenant(&place, "cpu", "");
    let primes = cpu.kernel("primes");
    place.taskhost("tenant set cpu --data data --cpu-seconds 0").run().code(0);
    is_over(cpu.post("/v1/jobs", job("0 10\n")), "cpu_seconds_per_day");
    // To look at a kernel costs, too; what is known already is not looked at.
    is_over(cpu.post("/v1/kernels", self::kernel("huge-result")), "cpu_seconds_per_day");
    let known = std::fs::read(format!("{}/plugins/dist/primes.wasm", env!("CARGO_MANIFEST_DIR"))).unwrap();
    cpu.send("PUT", &format!("/v1/kernels/{primes}"), "", &known).is(200);
    let queue = server.tenant(&place, "queue", "--queued-jobs 2 --concurrent-jobs 1 --requests 100000");
    queue.kernel("primes");
    let ids: Vec<String> =
        (0..2).map(|_| queue.post("/v1/jobs", job(LONG)).is(202).json()["id"].as_str().unwrap().to_owned()).collect();
    is_over(queue.post("/v1/jobs", job(LONG)), "queued_jobs");
    let state = |id: &String| queue.get(&format!("/v1/jobs/{id}")).is(200).json()["state"].clone();
    eventually("the first runs", || state(&ids[0]) == "running");
    assert_eq!(state(&ids[1]), "queued");
    // What is cancelled makes room, and leaves nothing that computes.
    for id in &ids {
        queue.post(&format!("/v1/jobs/{id}/cancel"), "").is(202);
        assert_eq!(state(id), "cancelled");
        queue.post(&format!("/v1/jobs/{id}/cancel"), "").is(202);
    }
    let short = queue.post("/v1/jobs", job("0 10\n")).is(202).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(queue.wait(&short)["state"], "succeeded");
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    assert_eq!(queue.post(&format!("/v1/jobs/{short}/cancel"), "").is(409).code(), "over");
    server.end(Signal::TERM).code(0);
}

/// A result is held to what is left while it is written, and what has no room when a job is over is not kept.
#[test]
fn a_result_has_no_more_room_than_its_tenant() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--stored 5MB --requests 100000");
    // A megabyte for each item.
    let kernel = anna.kernel_of(kernel("huge-result"));
    let job = |items: usize| {
        let parameters = json!({ "split": "lines", "merge": "concat", "workers": 1 });
        json!({ "kernel": &kernel, "input": { "text": "x\n".repeat(items) }, "parameters": parameters })
    };
    let stored = || anna.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap();
    let endless = anna.submit(&job(100_000));
    let ended = anna.wait(&endless);
    assert_eq!((&ended["state"], &ended["exit_code"]), (&json!("failed"), &json!(7)), "{ended}");
    assert!(ended["message"].as_str().is_some_and(|message| message.contains("stored_bytes")), "{ended}");
    assert!(ended["result"].is_null() && stored() < 2_000_000, "{ended}");
    // What fits is kept, and the next has the less.
    let fits = anna.submit(&job(3));
    assert_eq!(anna.wait(&fits)["state"], "succeeded");
    assert!((3 << 20..4 << 20).contains(&stored()), "{}", stored());
    let next = anna.submit(&job(2));
    assert_eq!((&anna.wait(&next)["exit_code"]), &json!(7));
    assert_eq!(anna.get(&format!("/v1/jobs/{fits}/result")).is(200).body.len(), 3 << 20);
    anna.send("DELETE", &format!("/v1/jobs/{fits}"), "", b"").is(204);
    let next = anna.submit(&job(2));
    assert_eq!(anna.wait(&next)["state"], "succeeded");
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    let on_disk: u64 = place
        .files()
        .iter()
        .filter(|name| name.contains("/blobs/"))
        .map(|name| place.path(name).metadata().map_or(0, |file| file.len()))
        .sum();
    assert!(on_disk <= 5_000_000, "{on_disk}");
    server.end(Signal::TERM).code(0);
}

/// A kernel has no more memory than its tenant's may, whoever asks for it and however.
#[test]
fn a_kernel_has_no_more_memory_than_its_tenant() {
    let place = Place::new();
    let server = Server::start(&place);
    let (small, large) = (
        server.tenant(&place, "small", "--worker-memory 32MiB"),
        server.tenant(&place, "large", "--worker-memory 128MiB"),
    );
    let why = "the kernel starts with 67108864 bytes of memory, more than the 33554432 that --memory allows";
    for (client, is_enough) in [(&small, false), (&large, true)] {
        let kernel = client.kernel_of(kernel("much-memory"));
        let called = client.call(&kernel, "x");
        // A job that asks for more than its tenant may have gets that much.
        let parameters = json!({ "memory": 1 << 30 });
        let job = client.submit(&json!({ "kernel": kernel, "input": { "text": "x" }, "parameters": parameters }));
        let ended = client.wait(&job);
        if is_enough {
            assert_eq!((called.is(200).text().as_str(), &ended["state"]), ("x", &json!("succeeded")), "{ended}");
            continue;
        }
        let refused = called.is(422);
        assert_eq!((refused.code(), &refused.json()["detail"]), ("kernel-refused".into(), &json!(why)));
        assert_eq!((&ended["state"], &ended["exit_code"]), (&json!("failed"), &json!(4)), "{ended}");
        assert!(ended["message"].as_str().is_some_and(|message| message.contains(why)), "{ended}");
    }
    // One that takes more and more is given no more than that, and its worker is none the worse for it.
    let bomb = small.kernel_of(kernel("memory-bomb"));
    for _ in 0..2 {
        let called = small.call(&bomb, "x").is(422);
        let problem = called.json();
        assert_eq!((&problem["detail"], &problem["blame"]), (&json!("no more memory"), &json!("kernel")));
    }
    let job = small.submit(&json!({ "kernel": bomb, "input": { "text": "x" }, "parameters": { "on_error": "skip" } }));
    let ended = small.wait(&job);
    assert_eq!((&ended["state"], &ended["failed_items"]), (&json!("partial"), &json!(1)), "{ended}");
    server.end(Signal::TERM).code(0);
}

/// A kernel of as many bytes as its tenant's may have is stored; one of a byte more is not, however it comes.
#[test]
fn a_kernel_is_no_larger_than_its_tenant_may_have() {
    let place = Place::new();
    let server = Server::start(&place);
    let kernel = kernel("echo");
    let bytes = kernel.len();
    let (fits, small) = (
        server.tenant(&place, "fits", &format!("--kernel-size {bytes}")),
        server.tenant(&place, "small", &format!("--kernel-size {}", bytes - 1)),
    );
    let digest = fits.kernel_of(&kernel);
    for refused in
        [small.post("/v1/kernels", &kernel), small.send("PUT", &format!("/v1/kernels/{digest}"), "", &kernel)]
    {
        assert_eq!(refused.is(413).code(), "too-large");
    }
    // One that does not say how long it is, too.
    let chunked = format!(
        "POST /v1/kernels HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Transfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n{}\r\n0\r\n\r\n",
        small.token,
        String::from_utf8(kernel).unwrap()
    );
    let refused = talk(&server.address, chunked.as_bytes()).is(413);
    assert_eq!((refused.code(), refused.json()["limit"].clone()), ("too-large".into(), json!(bytes - 1)));
    assert_eq!(small.get("/v1/kernels").is(200).json()["kernels"], json!([]));
    assert_eq!(small.get("/v1/usage").is(200).json()["stored_bytes"], 0);
    server.end(Signal::TERM).code(0);
}

/// What is said with a job counts by its bytes, with all that is kept of it; what is forgotten is not kept.
#[test]
fn what_is_said_with_a_job_counts_and_can_be_forgotten() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--stored 200kB --queued-jobs 1000");
    let kernel = anna.kernel("primes");
    let stored = || anna.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap();
    let before = stored();
    // Signs of four bytes: fewer signs than a free record may have bytes.
    let labels = |number: usize| -> serde_json::Map<String, serde_json::Value> {
        (0..number).map(|number| (format!("{number:03}"), json!("\u{1f600}".repeat(63)))).collect()
    };
    let job = |number: usize| json!({ "kernel": kernel, "input": { "text": "0 10\n" }, "labels": labels(number) });
    let (long, short) = (anna.submit(&job(14)), anna.submit(&job(2)));
    anna.wait(&long);
    anna.wait(&short);
    // The input, the result, and what the run of each has said.
    let bytes = 14 * 3 * (3 + 4 * 63) + 4 * BLOCK;
    assert!((bytes - BLOCK..bytes + 4096).contains(&(stored() - before)), "{}", stored() - before);
    is_over(anna.post("/v1/jobs", job(250).to_string()), "stored_bytes");
    let found = || {
        let label = format!("/v1/jobs?label=000={}", "%F0%9F%98%80".repeat(63));
        anna.get(&label).is(200).json()["jobs"].as_array().unwrap().len()
    };
    assert_eq!(found(), 2);
    for job in [&long, &short] {
        anna.send("DELETE", &format!("/v1/jobs/{job}"), "", b"").is(204);
        let job = anna.get(&format!("/v1/jobs/{job}")).is(200).json();
        let (said, used) = ((&job["labels"], &job["inputs"]), (&job["state"], job["cpu_ms"].is_u64()));
        assert_eq!((said, used), ((&json!({}), &json!([])), (&json!("succeeded"), true)));
    }
    assert_eq!((found(), stored()), (0, before));
    server.end(Signal::TERM).code(0);
}

/// What several jobs write at the same time has no more room together than one alone.
#[test]
fn jobs_that_write_at_the_same_time_share_the_room() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--stored 5MB --requests 100000");
    let kernel = anna.kernel_of(kernel("huge-then-never"));
    let submit = || {
        let parameters = json!({ "split": "lines", "merge": "concat", "workers": 1, "batch": 1, "timeout": "10m" });
        anna.submit(&json!({ "kernel": &kernel, "input": { "text": "x\nx\nx\n7\n" }, "parameters": parameters }))
    };
    let first = submit();
    let items = |id: &str| anna.get(&format!("/v1/jobs/{id}")).is(200).json()["progress"]["items"].clone();
    eventually("the first has written what it writes", || items(&first) == json!(3));
    let second = submit();
    let ended = anna.wait(&second);
    assert_eq!((&ended["state"], &ended["exit_code"]), (&json!("failed"), &json!(7)), "{ended}");
    assert!(ended["message"].as_str().is_some_and(|message| message.contains("stored_bytes")), "{ended}");
    // Whoever came first has its room.
    assert_eq!(
        (anna.get(&format!("/v1/jobs/{first}")).json()["state"].clone(), items(&first)),
        (json!("running"), json!(3))
    );
    anna.post(&format!("/v1/jobs/{first}/cancel"), "").is(202);
    server.end(Signal::TERM).code(0);
}

/// A run that ends for another limit is not taken for one that has no room, whatever its kernel says.
#[test]
fn what_a_kernel_says_is_no_reason() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    let kernel = anna.kernel_of(kernel("speaks-of-room"));
    let parameters = json!({ "split": "lines", "on_error": "skip", "workers": 1, "deadline": "2s", "batch": 1 });
    let job = anna.submit(&json!({ "kernel": &kernel, "input": { "text": "7\nx\n" }, "parameters": parameters }));
    let ended = anna.wait(&job);
    let message = ended["message"].as_str().unwrap_or_default();
    assert_eq!(ended["exit_code"], json!(7), "{ended}");
    assert!(message.contains("bytes that they may have") && !message.contains("stored_bytes"), "{message}");
    server.end(Signal::TERM).code(0);
}

/// A job that runs is held to the CPU time of its tenant, too: it parks, and goes on when there is more.
#[test]
fn a_job_that_runs_has_no_more_cpu_time_than_its_tenant() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    anna.kernel("primes");
    let used = || anna.get("/v1/usage").is(200).json()["today"]["cpu_ms"].as_u64().unwrap();
    // What it took to look at the kernel is not the job's, which has one second, however long that took.
    let before = used();
    let limit = before / 1000 + 1;
    place.taskhost(&format!("tenant set anna --data data --cpu-seconds {limit}")).run().code(0);
    let job = anna.submit(&json!({ "kernel": "primes", "input": { "text": LONG } }));
    let why = || anna.get(&format!("/v1/jobs/{job}/explain")).is(200).json();
    let of = |job: &serde_json::Value| (job["state"].clone(), job["waits"].clone());
    let shown = || of(&anna.get(&format!("/v1/jobs/{job}")).is(200).json());
    eventually("it has used up what there is", || why()["wait"]["reason"] == "cpu_seconds_per_day");
    eventually("it has no process", || why()["wait"]["running"] == 0);
    assert_eq!(shown(), (json!("running"), json!("cpu_seconds_per_day")));
    assert_eq!(of(&anna.get("/v1/jobs").is(200).json()["jobs"][0]), shown());
    eventually("that is written down", || used() >= limit * 1000);
    // A moment later it is known to who takes calls.
    let known = || {
        let quotas = anna.get("/v1/quota").is(200).json()["quotas"].clone();
        quotas.as_array().unwrap().iter().find(|quota| quota["quota"] == "cpu_seconds_per_day").unwrap()["used"].clone()
    };
    eventually("that is known", || known().as_u64().is_some_and(|known| known >= limit));
    is_over(anna.call("primes", "0 100"), "cpu_seconds_per_day");
    let parked = used();
    place.taskhost("tenant set anna --data data --cpu-seconds 1000").run().code(0);
    eventually("it goes on", || why()["wait"]["reason"] == "running" && used() > parked);
    assert_eq!(shown(), (json!("running"), json!(null)));
    // What it used is not counted once more at its end.
    anna.post(&format!("/v1/jobs/{job}/cancel"), "").is(202);
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
    let told = || anna.get(&format!("/v1/jobs/{job}")).is(200).json()["cpu_ms"].as_u64();
    eventually("it is paid for", || told().is_some_and(|told| told + before >= parked));
    assert!(used() <= told().unwrap() + 1000, "{} for {:?}", used(), told());
    server.end(Signal::TERM).code(0);
}

/// Whoever guesses is not heard for long.
#[test]
fn guessing_tokens_is_slow() {
    let place = Place::new();
    let server = Server::start(&place);
    let guess = || raw(&server.address, "GET", "/v1/jobs", "Authorization: Bearer th_guess\r\n", b"");
    let refused: Vec<u16> = (0..40).map(|_| guess().status).collect();
    assert_eq!((refused[0], refused[39]), (401, 429), "{refused:?}");
    server.end(Signal::TERM).code(0);
}

/// One with a long job, another with a short one: the short one does not wait for the end of the long one.
#[test]
fn a_long_job_lets_others_in() {
    let place = Place::new();
    let server = Server::start_with(&place, "");
    let (anna, bert) = (server.tenant(&place, "anna", "--requests 100000"), server.tenant(&place, "bert", ""));
    anna.kernel("primes");
    bert.kernel("primes");
    let job = |text: String| {
        json!({ "kernel": "primes", "input": { "text": text }, "parameters": { "workers": 2 } }).to_string()
    };
    let long = anna.post("/v1/jobs", job(LONG.repeat(10))).is(202).json()["id"].as_str().unwrap().to_owned();
    let state = || anna.get(&format!("/v1/jobs/{long}")).is(200).json()["state"].clone();
    eventually("the long one runs", || state() == "running");
    for _ in 0..3 {
        let short = bert.post("/v1/jobs", job("0 100\n".into())).is(202).json()["id"].as_str().unwrap().to_owned();
        assert_eq!(bert.wait(&short)["state"], "succeeded");
    }
    assert_eq!(state(), "running");
    // A tenant that is kept out uses nothing, and is answered nothing.
    place.taskhost("tenant disable anna --data data").run().code(0);
    anna.get("/v1/jobs").is(401);
    server.end(Signal::TERM).code(0);
}

/// Cores are the tenant's, however many jobs it has.
#[test]
fn jobs_of_a_tenant_have_its_cores_together() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--cores 1 --requests 100000");
    anna.kernel("primes");
    let job = json!({ "kernel": "primes", "input": { "text": LONG.repeat(4) }, "parameters": { "workers": 2 } });
    let jobs: Vec<String> = (0..2).map(|_| anna.submit(&job)).collect();
    let explain = |job: &String| anna.get(&format!("/v1/jobs/{job}/explain")).is(200).json();
    eventually("the first runs", || explain(&jobs[0])["wait"]["reason"] == "running");
    eventually("its worker runs", || anna.get("/metrics").text().contains("taskhost_workers{state=\"alive\"} 1"));
    let second = explain(&jobs[1]);
    assert_eq!(
        (&second["state"], &second["wait"]["reason"]),
        (&json!("queued"), &json!("cores_of_tenant")),
        "{second}"
    );
    place.taskhost("tenant set anna --data data --cores 2").run().code(0);
    eventually("the second runs", || explain(&jobs[1])["wait"]["reason"] == "running");
    for job in &jobs {
        anna.post(&format!("/v1/jobs/{job}/cancel"), "").is(202);
    }
    server.end(Signal::TERM).code(0);
}

/// How much of each is used is told, and what is nearly used up is told of without asking, once.
#[test]
fn what_is_nearly_used_up_is_warned_of() {
    let place = Place::new();
    let networks = "--webhook-network 127.0.0.0/8";
    let server = Server::start_with(&place, networks);
    let anna = server.tenant(&place, "anna", "--stored 1MB --requests 100000");
    let quota = |anna: &Client, name: &str| {
        let all = anna.get("/v1/quota").is(200).json();
        all["quotas"].as_array().unwrap().iter().find(|quota| quota["quota"] == name).unwrap().clone()
    };
    let digest = anna.post("/v1/blobs", vec![0; 100_000]).is(201).json()["digest"].clone();
    let stored =
        json!({ "quota": "stored_bytes", "limit": 1_000_000, "used": 100_000, "resets_at": null, "warning": false });
    assert_eq!(quota(&anna, "stored_bytes"), stored);
    let cpu = quota(&anna, "cpu_seconds_per_day");
    assert!(cpu["resets_at"].as_i64().is_some() && cpu["used"] == 0, "{cpu}");
    assert_eq!(quota(&anna, "worker_memory")["used"], json!(null));
    assert_eq!(anna.get("/v1/usage").is(200).json()["warnings"], json!([]));
    anna.post("/v1/blobs", vec![1; 700_000]).is(201);
    let mut nearly = stored;
    (nearly["used"], nearly["warning"]) = (json!(800_000), json!(true));
    assert_eq!(quota(&anna, "stored_bytes"), nearly);
    assert_eq!(anna.get("/v1/usage").is(200).json()["warnings"], json!([nearly]));
    let (receiver, url) = Receiver::new();
    anna.post("/v1/webhooks", json!({ "url": url }).to_string()).is(201);
    // A server looks when it starts, too.
    let address = server.address.clone();
    server.end(Signal::TERM).code(0);
    let server = Server::start_as_before(&place, &address, networks);
    let anna = anna.at(&server);
    let told = receiver.take("204 No Content").json();
    let data = json!({ "quota": "stored_bytes", "limit": 1_000_000, "used": 800_000, "resets_at": null });
    assert_eq!((&told["type"], &told["data"]), (&json!("quota.warning"), &data));
    // There is one message, and no other, for whatever comes on that day.
    anna.send("DELETE", &format!("/v1/blobs/{}", digest.as_str().unwrap()), "", b"").is(204);
    let webhook = anna.get("/v1/webhooks").is(200).json()["webhooks"][0]["id"].as_str().unwrap().to_owned();
    let deliveries = || anna.get(&format!("/v1/webhooks/{webhook}/deliveries")).is(200).json()["deliveries"].clone();
    eventually("it has got through", || deliveries()[0]["delivered"].is_i64());
    assert_eq!(deliveries().as_array().unwrap().len(), 1);
    server.end(Signal::TERM).code(0);
}
