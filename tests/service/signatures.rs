//! Kernels that somebody has to vouch for: signatures of minisign, and the keys that the operator lists.

use rustix::process::Signal;
use serde_json::json;

use super::client::{Answer, Client, Server};
use crate::harness::{Place, eventually};

/// A kernel that gives each item back, to its last letter: it is signed.
pub(super) const KERNEL: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))
"#;

/// Two keys, and what `minisign -S` writes with each.
const ANNAS_KEY: &str = "RWQHBwcHBwcHB+pKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
const ANNAS: &str = "untrusted comment: signature of a test\n\
RUQHBwcHBwcHB7mI74WDrmhE3pirxABQ5evyQsdp3WlICWobKVlcc0ZTyhsASmKkCMp9pEEWzVc0vv7/B3wkRNra2xUq440wdQM=\n\
trusted comment: timestamp:1795269600 file:echo.wat hashed\n\
CV736a0IbwtFybrr5vDvCshzypprGwmPN3AKo2J15W+tdcBA6WUBk3AHdXWZnOZZIoAVRwA4C6sTq++0XDarCg==\n\
";
const BERTS_KEY: &str = "RWQJCQkJCQkJCf0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";
const BERTS: &str = "untrusted comment: signature of a test\n\
RUQJCQkJCQkJCSCrFh5s450uKtyBuTbD22aQnJ6Q4zQUChWx5E6Lh8IKCuwDtdj5/6zaV2Med4DviVjlRaReWx8DMQIF9h09BgQ=\n\
trusted comment: timestamp:1795269600 file:echo.wat hashed\n\
9w0/3lO4oDk1HeJFFDSa5yCOopzIr84M65HKNz6KUpUJT3mWaSGFwlndqQW96RMqkjTtruM9wJUPSnFdZJqOCA==\n\
";

/// The same as they are sent.
const BY_ANNA: &str = "dW50cnVzdGVkIGNvbW1lbnQ6IHNpZ25hdHVyZSBvZiBhIHRlc3QKUlVRSEJ3Y0hCd2NIQjdtSTc0V0RybWhFM3BpcnhBQlE1ZXZ5UXNkcDNXbElDV29iS1ZsY2MwWlR5aHNBU21La0NNcDlwRUVXelZjMHZ2Ny9CM3drUk5yYTJ4VXE0NDB3ZFFNPQp0cnVzdGVkIGNvbW1lbnQ6IHRpbWVzdGFtcDoxNzk1MjY5NjAwIGZpbGU6ZWNoby53YXQgaGFzaGVkCkNWNzM2YTBJYnd0RnlicnI1dkR2Q3NoenlwcHJHd21QTjNBS28ySjE1Vyt0ZGNCQTZXVUJrM0FIZFhXWm5PWlpJb0FWUndBNEM2c1RxKyswWERhckNnPT0K";
const BY_BERT: &str = "dW50cnVzdGVkIGNvbW1lbnQ6IHNpZ25hdHVyZSBvZiBhIHRlc3QKUlVRSkNRa0pDUWtKQ1NDckZoNXM0NTB1S3R5QnVUYkQyMmFRbko2UTR6UVVDaFd4NUU2TGg4SUtDdXdEdGRqNS82emFWMk1lZDREdmlWamxSYVJlV3g4RE1RSUY5aDA5QmdRPQp0cnVzdGVkIGNvbW1lbnQ6IHRpbWVzdGFtcDoxNzk1MjY5NjAwIGZpbGU6ZWNoby53YXQgaGFzaGVkCjl3MC8zbE80b0RrMUhlSkZGRFNhNXlDT29weklyODRNNjVIS056NktVcFVKVDNtV2FTR0Z3bG5kcVFXOTZSTXFralR0cnVNOXdKVVBTbkZkWkpxT0NBPT0K";

fn store(client: &Client, kernel: &str, signature: &str) -> Answer {
    client.send("POST", "/v1/kernels", &format!("Taskhost-Signature: {signature}\r\n"), kernel.as_bytes())
}

#[test]
fn a_kernel_is_taken_when_somebody_vouches_for_it() {
    let place = Place::new();
    // One that was stored before anybody had to.
    let server = Server::start(&place);
    let early = server.tenant(&place, "early", "");
    let digest = early.kernel_of(KERNEL);
    server.end(Signal::TERM).code(0);
    place.write("keys.pub", format!("untrusted comment: minisign public key\n{ANNAS_KEY}\n"));
    let server = Server::start_with(&place, "--kernel-keys keys.pub");
    let (early, anna) = (early.at(&server), server.tenant(&place, "anna", ""));
    for answer in
        [anna.post("/v1/kernels", KERNEL), anna.send("PUT", &format!("/v1/kernels/{digest}"), "", KERNEL.as_bytes())]
    {
        assert_eq!(answer.is(422).code(), "signature-missing");
    }
    let other = KERNEL.replace("1024", "2048");
    for (kernel, signature) in [(KERNEL, "x"), (KERNEL, ANNAS_KEY), (KERNEL, BY_BERT), (&*other, BY_ANNA)] {
        assert_eq!(store(&anna, kernel, signature).is(422).code(), "signature-wrong", "{signature}");
    }
    // Nothing of what was refused is left.
    assert_eq!(anna.get("/v1/kernels").is(200).json()["kernels"], json!([]));
    assert_eq!(anna.get("/v1/usage").is(200).json()["stored_bytes"], 0);
    let stored = store(&anna, KERNEL, BY_ANNA).is(201).json();
    assert_eq!((&stored["digest"], &stored["signed_by"]), (&json!(digest), &json!("0707070707070707")));
    assert_eq!(anna.get(&format!("/v1/kernels/{digest}")).is(200).json()["signature"], ANNAS);
    assert_eq!(anna.call(&digest, "x").is(200).text(), "x");
    // It need not be vouched for twice.
    anna.post("/v1/kernels", KERNEL).is(422);
    anna.send("PUT", &format!("/v1/kernels/{digest}"), "", b"").is(200);
    // What was stored before is run as before, and can be vouched for later.
    assert_eq!(early.call(&digest, "x").is(200).text(), "x");
    assert!(early.get(&format!("/v1/kernels/{digest}")).is(200).json()["signed_by"].is_null());
    assert_eq!(store(&early, KERNEL, BY_ANNA).is(200).json()["signed_by"], "0707070707070707");
    // Keys are read again while it runs; what is stored stays.
    place.write("keys.pub", format!("# Anna has left.\n{BERTS_KEY}\n"));
    server.running.process.signal(Signal::HUP);
    let bert = server.tenant(&place, "bert", "");
    eventually("the new key is good", || store(&bert, KERNEL, BY_BERT).status / 100 == 2);
    assert_eq!(bert.get(&format!("/v1/kernels/{digest}")).is(200).json()["signature"], BERTS);
    assert_eq!(anna.call(&digest, "x").is(200).text(), "x");
    let late = server.tenant(&place, "late", "");
    assert_eq!(store(&late, KERNEL, BY_ANNA).is(422).code(), "signature-wrong");
    // One that holds no key changes nothing.
    place.write("keys.pub", "none\n");
    server.running.process.signal(Signal::HUP);
    store(&late, KERNEL, BY_BERT).is(201);
    let log = server.end(Signal::TERM).code(0).stderr;
    assert!(!log.contains("panicked"), "{log}");
    let refused = place.taskhost("serve --data data --sandbox auto --kernel-keys keys.pub").run().code(5);
    assert!(refused.stderr.contains("keys.pub:1: this is no public key of minisign"), "{}", refused.stderr);
}

#[test]
fn a_signature_beside_the_kernel_goes_with_it() {
    let place = Place::new();
    place.write("keys.pub", ANNAS_KEY);
    let server = Server::start_with(&place, "--kernel-keys keys.pub");
    let anna = server.tenant(&place, "anna", "");
    place.write("echo.wat", KERNEL);
    place.write("token", &anna.token);
    let run = format!("run echo.wat --split lines --merge lines --server http://{} --token-file token", server.address);
    let refused = place.taskhost(&run).input("a\nb\n").run().code(4);
    assert!(refused.stderr.contains("echo.wat: kernels are taken only with a signature"), "{}", refused.stderr);
    place.write("echo.wat.minisig", ANNAS);
    assert_eq!(place.taskhost(&run).input("a\nb\n").run().success().text(), "a\nb\n");
    server.end(Signal::TERM).code(0);
}
