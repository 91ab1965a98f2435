//! Compiled code goes with its kernel, and nobody fails for want of it.

use rustix::process::Signal;
use serde_json::json;

use super::client::Server;
use crate::harness::{Place, eventually};

/// Everything in the tenant's cache.
fn cached(place: &Place) -> Vec<String> {
    let all = place.files().into_iter();
    all.filter(|name| name.starts_with("data/tenants/1/cache/")).collect()
}

#[test]
fn code_goes_with_its_kernel() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    let primes = std::fs::read(format!("{}/plugins/dist/primes.wasm", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for _ in 0..2 {
        let digest = anna.kernel_of(&primes);
        assert!(cached(&place).iter().any(|name| name.ends_with(".cwasm")), "{:?}", place.files());
        // Its workers are ready, and end with it.
        anna.call(&digest, "0 10").is(200);
        anna.send("DELETE", &format!("/v1/kernels/{digest}"), "", b"").is(204);
        assert_eq!(cached(&place), [""; 0]);
    }
    // One that is refused leaves nothing, whatever of it was made.
    anna.post("/v1/kernels", b"\0asm\x01\0\0\0").is(422);
    eventually("nothing is left", || std::fs::read_dir(place.path("data/tenants/1/cache")).unwrap().count() == 0);
    server.end(Signal::TERM).code(0);
}

#[test]
fn what_is_too_much_goes_and_is_made_anew() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    let kernel = anna.kernel("primes");
    let artifacts = || cached(&place).into_iter().filter(|name| name.ends_with(".cwasm")).collect::<Vec<_>>();
    let remove = || artifacts().iter().for_each(|name| std::fs::remove_file(place.path(name)).unwrap());
    let job = || anna.submit(&json!({ "kernel": kernel, "input": { "text": "0 10\n" } }));
    remove();
    assert_eq!(anna.wait(&job())["state"], "succeeded");
    assert!(!artifacts().is_empty());
    remove();
    anna.call("primes", "0 10").is(200);
    // Workers that are ready have theirs.
    remove();
    anna.call("primes", "0 10").is(200);
    std::fs::remove_dir_all(place.path("data/tenants/1/cache")).unwrap();
    assert_eq!(anna.wait(&job())["state"], "succeeded");
    server.end(Signal::TERM).code(0);
    // What a server that was killed has left, and what earlier programs had, goes with the next start.
    for left in [format!("{}/taskhost/artifacts/a.cwasm", "7".repeat(64)), "taskhost/artifacts/a.cwasm".to_owned()] {
        let left = place.path(format!("data/tenants/1/cache/{left}"));
        std::fs::create_dir_all(left.parent().unwrap()).unwrap();
        std::fs::write(left, "code").unwrap();
    }
    let server = Server::start(&place);
    eventually("the rest is gone", || std::fs::read_dir(place.path("data/tenants/1/cache")).unwrap().count() == 1);
    assert!(!artifacts().is_empty());
    assert_eq!(anna.at(&server).call("primes", "0 10").status, 200);
    server.end(Signal::TERM).code(0);
}
