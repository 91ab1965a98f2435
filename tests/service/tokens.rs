//! A tenant's own tokens: made, listed and ended by one that may, and never better than that one.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Client, Server};
use crate::harness::{Place, eventually};

fn made(client: &Client, asked: &Value) -> (Client, Value) {
    let made = client.post("/v1/tokens", asked.to_string()).is(201).json();
    (Client { address: client.address.clone(), token: made["token"].as_str().unwrap().to_owned() }, made)
}

#[test]
fn a_token_makes_tokens_that_are_no_better_and_ends_them() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) = (server.tenant(&place, "anna", "--requests 100000"), server.tenant(&place, "bert", ""));
    let (reader, view) = made(&anna, &json!({ "scopes": ["jobs:read", "usage:read"], "expires_in": 3600 }));
    assert_eq!(view["scopes"], json!(["jobs:read", "usage:read"]));
    assert_eq!(view["expires"].as_i64().unwrap() - view["created"].as_i64().unwrap() - 3_600_000, 0);
    reader.get("/v1/jobs").is(200);
    assert_eq!(reader.post("/v1/jobs", "{}").is(403).code(), "scope-missing");
    for asked in [reader.get("/v1/tokens"), reader.post("/v1/tokens", "{}")] {
        assert_eq!(asked.is(403).code(), "scope-missing");
    }
    // What is listed has no secret, and nothing of others.
    let list = anna.get("/v1/tokens").is(200);
    assert!(
        !list.text().contains(&reader.token[14..50]) && !list.text().contains(&bert.token[3..13]),
        "{}",
        list.text()
    );
    let tokens = list.json()["tokens"].as_array().unwrap().clone();
    let of_this: Vec<_> = tokens.iter().map(|token| (token["key"].clone(), token["is_this"] == true)).collect();
    assert_eq!(of_this, [(json!(anna.token[3..13]), true), (json!(reader.token[3..13]), false)]);
    // When each was last used is known, to the hour.
    let (unused, _) = made(&anna, &json!({ "scopes": ["jobs:read"] }));
    let list = anna.get("/v1/tokens").is(200).json();
    let used: Vec<bool> = list["tokens"].as_array().unwrap().iter().map(|token| token["last_used"].is_i64()).collect();
    assert_eq!(used, [true, true, false], "{list}");
    anna.send("DELETE", &format!("/v1/tokens/{}", &unused.token[3..13]), "", b"").is(204);
    // One that is over soon, and good for little, makes none that is better.
    let (small, _) = made(&anna, &json!({ "scopes": ["tokens:admin", "jobs:read"], "expires_in": 60 }));
    let (smaller, view) = made(&small, &json!({ "scopes": ["jobs:read"], "expires_in": 7200 }));
    assert!(view["expires"].as_i64().unwrap() - view["created"].as_i64().unwrap() <= 60_000, "{view}");
    let refused = small.post("/v1/tokens", json!({ "scopes": ["kernels:write"] }).to_string()).is(403);
    assert!(refused.text().contains("kernels:write"), "{}", refused.text());
    let end = |client: &Client, token: &Client| {
        client.send("DELETE", &format!("/v1/tokens/{}", &token.token[3..13]), "", b"")
    };
    assert_eq!(end(&small, &anna).is(403).code(), "scope-missing");
    assert_eq!(end(&bert, &reader).is(404).code(), "not-found");
    end(&small, &smaller).is(204);
    smaller.get("/v1/jobs").is(401);
    end(&anna, &smaller).is(404);
    end(&anna, &reader).is(204);
    reader.get("/v1/jobs").is(401);
    for bad in
        [json!({ "scopes": [] }), json!({ "scopes": ["all"] }), json!({ "scopes": ["jobs:read"], "expires_in": 0 })]
    {
        assert_eq!(anna.post("/v1/tokens", bad.to_string()).is(400).code(), "bad-request", "{bad}");
    }
    // It may end itself; the operator can make another one.
    end(&small, &small).is(204);
    small.get("/v1/tokens").is(401);
    let audit = anna.get("/v1/audit").is(200).json();
    let acts: Vec<_> = audit["rows"].as_array().unwrap().iter().map(|row| (&row["action"], &row["actor"])).collect();
    assert!(acts.contains(&(&json!("token.revoke"), &json!(anna.token[3..13]))), "{acts:?}");
    assert!(acts.contains(&(&json!("token.create"), &json!(small.token[3..13]))), "{acts:?}");
    // What was ended stays so, also at the next server.
    let log = server.end(Signal::TERM).code(0).stderr;
    assert!(!log.contains(&reader.token[14..50]), "{log}");
    let server = Server::start(&place);
    reader.at(&server).get("/v1/jobs").is(401);
    anna.at(&server).get("/v1/jobs").is(200);
    server.end(Signal::TERM).code(0);
}

/// What is good for more, from more places or for longer is not ended by one that could not have made it.
#[test]
fn a_token_ends_none_that_is_better() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    let token = |scopes: &[&str], networks: &[&str], seconds: u64| {
        made(&anna, &json!({ "scopes": scopes, "networks": networks, "expires_in": seconds })).0
    };
    let end = |client: &Client, token: &Client| {
        client.send("DELETE", &format!("/v1/tokens/{}", &token.token[3..13]), "", b"")
    };
    let admin = ["tokens:admin", "jobs:read"];
    let small = token(&admin, &["127.0.0.0/8", "fd00::/8"], 1000);
    let wider = token(&["jobs:read"], &["127.0.0.0/7"], 100);
    let elsewhere = token(&["jobs:read"], &["127.0.0.1", "10.0.0.0/8"], 100);
    let (same, _) = made(&small, &json!({ "scopes": ["jobs:read"] }));
    let everywhere = token(&["jobs:read"], &[], 100);
    for wide in [&wider, &elsewhere, &everywhere] {
        assert_eq!(end(&small, wide).is(403).code(), "network-beyond");
    }
    let longer = token(&["jobs:read"], &["127.0.0.1"], 2000);
    assert_eq!(end(&small, &longer).is(403).code(), "expiry-beyond");
    let for_ever = made(&anna, &json!({ "scopes": ["jobs:read"], "networks": ["127.0.0.1"] })).0;
    assert_eq!(end(&small, &for_ever).is(403).code(), "expiry-beyond");
    let better = token(&["jobs:read", "jobs:write"], &["127.0.0.1"], 100);
    assert_eq!(end(&small, &better).is(403).code(), "scope-missing");
    for still in [&wider, &everywhere, &longer, &for_ever, &better, &anna] {
        still.get("/v1/jobs").is(200);
    }
    // What is no better is ended by it, and so is it itself; and those that are better end all of them.
    end(&small, &same).is(204);
    end(&small, &token(&["jobs:read"], &["127.0.0.1", "fd00::/16"], 100)).is(204);
    end(&small, &small).is(204);
    for one in [&wider, &elsewhere, &everywhere, &longer, &for_ever, &better, &anna] {
        end(&anna, one).is(204);
    }
    server.end(Signal::TERM).code(0);
}

#[test]
fn there_are_never_too_many_tokens() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    let asked = json!({ "scopes": ["jobs:read"] });
    for _ in 1..100 {
        made(&anna, &asked);
    }
    assert_eq!(anna.post("/v1/tokens", asked.to_string()).is(409).code(), "too-many");
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_token_is_good_from_its_networks_alone() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--token-network 127.0.0.0/8 --token-network fd00::/8");
    let show = place.taskhost("tenant show anna --data data").run().code(0);
    assert!(show.text().contains("  from 127.0.0.0/8 fd00::/8\n"), "{}", show.text());
    // What is made of it is good from as many places, or from fewer.
    let (same, view) = made(&anna, &json!({ "scopes": ["jobs:read"] }));
    assert_eq!(view["networks"], json!(["127.0.0.0/8", "fd00::/8"]));
    same.get("/v1/jobs").is(200);
    let (near, view) = made(&anna, &json!({ "scopes": ["jobs:read"], "networks": ["127.0.0.1"] }));
    assert_eq!(view["networks"], json!(["127.0.0.1/32"]));
    near.get("/v1/jobs").is(200);
    for wide in ["0.0.0.0/0", "126.0.0.0/7", "10.0.0.0/8", "::/0"] {
        let asked = json!({ "scopes": ["jobs:read"], "networks": ["127.0.0.1", wide] });
        let refused = anna.post("/v1/tokens", asked.to_string()).is(403);
        assert_eq!(refused.code(), "network-beyond", "{wide}");
    }
    for bad in [json!(["x"]), json!([""]), json!(vec!["127.0.0.1"; 33])] {
        let asked = json!({ "scopes": ["jobs:read"], "networks": bad });
        assert_eq!(anna.post("/v1/tokens", asked.to_string()).is(400).code(), "bad-request", "{bad}");
    }
    // Elsewhere it is answered as one that nobody knows, and the operator hears of it.
    let (far, view) = made(&anna, &json!({ "scopes": ["jobs:read"], "networks": ["fd00::/16"] }));
    let unknown = Client { address: anna.address.clone(), token: "th_x".into() };
    let (elsewhere, nobody) = (far.get("/v1/jobs").is(401), unknown.get("/v1/jobs").is(401));
    assert_eq!(elsewhere.text(), nobody.text());
    // Whoever shows it does not wait until that is written down.
    let row = || {
        let rows = anna.get("/v1/audit").is(200).json();
        rows["rows"].as_array().unwrap().iter().find(|row| row["action"] == "token.elsewhere").cloned()
    };
    eventually("it is written down", || row().is_some());
    let found = row().unwrap();
    assert_eq!((&found["actor"], &found["outcome"]), (&view["key"], &json!("refused")));
    assert_eq!(found["address"], "127.0.0.1");
    // It has not been used, and what it is good for stays so with the next server.
    let all = anna.get("/v1/tokens").is(200).json();
    let token = all["tokens"].as_array().unwrap().iter().find(|token| token["key"] == view["key"]).unwrap();
    assert_eq!((&token["last_used"], &token["networks"]), (&json!(null), &json!(["fd00::/16"])));
    let log = server.end(Signal::TERM).code(0).stderr;
    assert!(log.contains("a token is shown where it is not good"), "{log}");
    let server = Server::start(&place);
    far.at(&server).get("/v1/jobs").is(401);
    near.at(&server).get("/v1/jobs").is(200);
    let rotated = place.taskhost("tenant rotate anna --data data --token-network 10.0.0.0/8").run().code(0);
    Client { address: server.address.clone(), token: rotated.text().trim().to_owned() }.get("/v1/jobs").is(401);
    server.end(Signal::TERM).code(0);
}
