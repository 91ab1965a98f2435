//! Contents that come in parts: cut off, gone on with, lied about, and nobody else's.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

use rustix::process::Signal;
use serde_json::json;

use super::client::{Answer, Client, Server};
use crate::harness::{Place, eventually};

/// Something of this many bytes that is no repetition.
fn content(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn path(content: &[u8]) -> String {
    format!("/v1/blobs/blake3:{}", blake3::hash(content).to_hex())
}

/// Sends the bytes of a content from one on, up to another.
fn part(client: &Client, content: &[u8], from: usize, to: usize) -> Answer {
    let range = format!("Content-Range: bytes {from}-{}/{}\r\n", to - 1, content.len());
    client.send("PUT", &path(content), &range, &content[from..to])
}

/// How much has come, as the service says it.
fn offset(client: &Client, content: &[u8]) -> Option<usize> {
    let answer = client.send("HEAD", &path(content), "", b"").is(404);
    answer.header("upload-offset").map(|offset| offset.parse().unwrap())
}

fn stored(client: &Client) -> u64 {
    client.get("/v1/usage").is(200).json()["stored_bytes"].as_u64().unwrap()
}

/// The files of contents that come in parts.
fn parts(place: &Place) -> usize {
    place.files().iter().filter(|name| name.contains("/uploads/")).count()
}

#[test]
fn what_was_cut_off_goes_on_where_it_was() {
    let place = Place::new();
    let server = Server::start(&place);
    let (anna, bert) =
        (server.tenant(&place, "anna", "--requests 100000 --stored 1MB"), server.tenant(&place, "bert", ""));
    let whole = content(600_000);
    // The connection ends in the middle of it.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 600000\r\n\
         Content-Range: bytes 0-599999/600000\r\n\r\n",
        path(&whole),
        anna.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&whole[..400_000]).unwrap();
    eventually("some of it has come", || offset(&anna, &whole).is_some_and(|offset| offset > 0));
    stream.shutdown(Shutdown::Both).unwrap();
    eventually("what has come stays", || offset(&anna, &whole) == Some(400_000));
    assert_eq!((stored(&anna), parts(&place)), (600_000, 1), "it counts in full");
    // It is no content yet, and nobody else's anyway.
    assert_eq!(anna.get(&path(&whole)).is(404).code(), "not-found");
    let digest = path(&whole).replace("/v1/blobs/", "");
    let job = json!({ "kernel": anna.kernel("primes"), "input": { "blob": digest } }).to_string();
    assert!([404, 422].contains(&anna.post("/v1/jobs", job).status));
    assert_eq!(offset(&bert, &whole), None);
    let answer = part(&bert, &whole, 400_000, 600_000).is(409);
    assert_eq!((answer.code().as_str(), answer.header("upload-offset")), ("wrong-offset", Some("0")));
    // At the wrong place nothing is added; nor of another length.
    for from in [1, 399_999, 400_001] {
        let answer = part(&anna, &whole, from, 600_000).is(409);
        assert_eq!((answer.code().as_str(), &answer.json()["offset"]), ("wrong-offset", &json!(400_000)));
    }
    let longer = "Content-Range: bytes 400000-400000/600001\r\n";
    assert_eq!(anna.send("PUT", &path(&whole), longer, b"x").is(409).code(), "other-length");
    for senseless in ["bytes 5-4/10", "bytes 0-0/*", "items 0-0/1", "bytes 0-1/2"] {
        let answer = anna.send("PUT", &path(&whole), &format!("Content-Range: {senseless}\r\n"), b"x");
        assert_eq!(answer.is(400).code(), "bad-range", "{senseless}");
    }
    assert_eq!(offset(&anna, &whole), Some(400_000));
    // Elsewhere a part would be taken for all of it.
    for (method, path) in [("POST", "/v1/blobs".to_owned()), ("PUT", path(&whole).replace("blobs", "kernels"))] {
        let answer = anna.send(method, &path, "Content-Range: bytes 0-0/2\r\n", b"x");
        assert_eq!(answer.is(400).code(), "bad-range", "{path}");
    }
    // There is room for what was begun, and for no more beside it.
    let other = content(500_000);
    let refused = part(&anna, &other, 0, 1).is(429).json();
    assert_eq!((&refused["quota"], refused["used"].as_u64().unwrap() >= 600_000), (&json!("stored_bytes"), true));
    // Also when the server ends in between.
    part(&anna, &whole, 400_000, 500_000).is(202);
    server.end(Signal::KILL).code(137);
    let server = Server::start(&place);
    let anna = anna.at(&server);
    assert_eq!(offset(&anna, &whole), Some(500_000));
    let answer = part(&anna, &whole, 500_000, 600_000).is(201).json();
    assert_eq!((&answer["digest"], &answer["bytes"]), (&json!(digest), &json!(600_000)));
    assert_eq!(anna.get(&path(&whole)).is(200).body, whole);
    assert_eq!(anna.send("HEAD", &path(&whole), "", b"").is(200).header("content-length"), Some("600000"));
    part(&anna, &whole, 500_000, 600_000).is(201);
    assert_eq!((parts(&place), anna.send("DELETE", &path(&whole), "", b"").status), (0, 204));
    anna.get(&path(&whole)).is(404);
    server.end(Signal::TERM).code(0);
}

#[test]
fn what_is_not_what_it_was_to_be_is_forgotten() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000 --stored 1MB");
    let (whole, mut lie) = (content(300_000), content(300_000));
    lie[250_000] ^= 1;
    part(&anna, &whole, 0, 100_000).is(202);
    let range = "Content-Range: bytes 100000-299999/300000\r\n";
    let answer = anna.send("PUT", &path(&whole), range, &lie[100_000..]);
    assert_eq!(answer.is(422).code(), "digest-mismatch");
    assert_eq!((offset(&anna, &whole), stored(&anna), parts(&place)), (None, 0, 0));
    // A part that is longer than it says, or shorter.
    let chunked = |bytes: &[u8]| {
        let head = "Content-Range: bytes 0-99999/300000\r\nTransfer-Encoding: chunked\r\n";
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n0\r\n\r\n"].concat();
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n{head}\r\n",
            path(&whole),
            anna.token
        );
        super::client::talk(&server.address, &[head.as_bytes(), &chunk].concat())
    };
    assert_eq!(chunked(&whole[..50_000]).is(400).code(), "cut-off");
    assert_eq!(offset(&anna, &whole), Some(50_000), "what has come stays");
    assert_eq!(chunked(&whole[..150_000]).is(413).code(), "too-large");
    // From the beginning it is another one, when somebody wants that; and all at once it is none in parts any more.
    part(&anna, &whole, 0, 10).is(202);
    assert_eq!((offset(&anna, &whole), stored(&anna)), (Some(10), 300_000));
    anna.send("PUT", &path(&whole), "", &whole).is(201);
    assert_eq!((stored(&anna), parts(&place)), (300_000, 0));
    anna.send("DELETE", &path(&whole), "", b"").is(204);
    // One that is given up counts no more.
    part(&anna, &whole, 0, 10).is(202);
    anna.send("DELETE", &path(&whole), "", b"").is(204);
    assert_eq!((stored(&anna), parts(&place)), (0, 0));
    anna.send("DELETE", &path(&whole), "", b"").is(404);
    server.end(Signal::TERM).code(0);
}

/// Whoever is sending what somebody gives up stores nothing any more.
#[test]
fn what_is_given_up_while_it_comes_is_not_gone_on_with() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000 --stored 1MB");
    let whole = content(600_000);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Length: 600000\r\n\
         Content-Range: bytes 0-599999/600000\r\n\r\n",
        path(&whole),
        anna.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&whole[..400_000]).unwrap();
    eventually("some of it has come", || offset(&anna, &whole).is_some_and(|offset| offset > 0));
    anna.send("DELETE", &path(&whole), "", b"").is(204);
    assert_eq!((stored(&anna), parts(&place)), (0, 0));
    // The server may refuse before it has read all of it.
    let _ = stream.write_all(&whole[400_000..]);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || (answer.contains(" 409 ") && answer.contains("taken-over")), "{answer}");
    assert_eq!((offset(&anna, &whole), stored(&anna), parts(&place)), (None, 0, 0));
    server.end(Signal::TERM).code(0);
}

#[test]
fn whoever_stores_may_ask_how_far_it_is_and_nobody_else() {
    let place = Place::new();
    let server = Server::start(&place);
    let writer = server.tenant(&place, "anna", "--scope jobs:write");
    let reader = server.tenant(&place, "bert", "--scope jobs:read");
    let whole = content(1000);
    part(&writer, &whole, 0, 10).is(202);
    assert_eq!(offset(&writer, &whole), Some(10));
    part(&writer, &whole, 10, 1000).is(201);
    writer.send("HEAD", &path(&whole), "", b"").is(200);
    assert_eq!(writer.get(&path(&whole)).is(403).code(), "scope-missing");
    reader.send("HEAD", &path(&whole), "", b"").is(403);
    assert_eq!(part(&reader, &whole, 0, 10).is(403).code(), "scope-missing");
    server.end(Signal::TERM).code(0);
}

/// Between a client and a server: no connection brings more than this to the server.
fn narrow(to: String, bytes: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&to).unwrap();
            let (mut back, mut into) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back, &mut into));
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut (&client).take(bytes as u64), &mut &server);
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

/// An input that no connection lives long enough for.
#[test]
fn a_run_brings_its_input_through_connections_that_break() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    place.write("token", &anna.token);
    let mut input = "x".repeat(12 << 20);
    for line in (1 << 20..input.len()).step_by(1 << 20) {
        input.replace_range(line..=line, "\n");
    }
    input.push_str("\nhere\n");
    place.write("in.txt", &input);
    let address = narrow(server.address.clone(), 5 << 20);
    let flags = format!("run grep -c pattern=here in.txt --server http://{address} --token-file token");
    assert_eq!(place.taskhost(&flags).run().code(0).text(), "here\n");
    assert_eq!(parts(&place), 0);
    server.end(Signal::TERM).code(0);
}

/// They send all of it before they listen, as many programs do.
#[test]
fn who_is_refused_before_all_has_come_hears_why() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--stored 1MB --requests 100000");
    let stranger = Client { token: "nobody's".into(), ..anna.at(&server) };
    let large = vec![1; 6 << 20];
    for _ in 0..10 {
        assert_eq!(anna.post("/v1/blobs", &large).is(429).json()["quota"], "stored_bytes");
        stranger.post("/v1/blobs", &large).is(401);
        anna.post("/v1/nowhere", &large).is(404);
    }
    server.end(Signal::TERM).code(0);
}
