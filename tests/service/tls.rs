//! A service whose connections are secret, and clients that know whom to trust.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::harness::{Place, skipped};

/// Makes a certificate for this machine, and one that vouches for it; another that vouches for nothing.
fn certificates(place: &Place) -> bool {
    place.write("names", "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let commands = [
        format!("req -x509 {key} -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem"),
        format!("req -x509 {key} -days 2 -subj /CN=other-ca -keyout other.key -out other.pem"),
        format!("req {key} -subj /CN=localhost -keyout key.pem -out request.pem"),
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem"
            .into(),
    ];
    commands.iter().all(|command| {
        let mut openssl = Command::new("openssl");
        openssl.args(command.split(' ')).current_dir(place.path("")).stdin(Stdio::null());
        openssl.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    })
}

#[test]
fn a_run_trusts_whom_it_is_told_to_trust() {
    let place = Place::new();
    if !certificates(&place) {
        return skipped("a_run_trusts_whom_it_is_told_to_trust", "no openssl: apt-get install openssl");
    }
    place.write("in.txt", "0 10\n0 100\n");
    let serve = "serve --data data --listen 127.0.0.1:0 --sandbox auto -j 2 --tls-cert cert.pem --tls-key key.pem";
    let mut server = place.taskhost(serve).start();
    let line = server.line();
    let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
    assert!(url.starts_with("https://"), "{url}");
    let token = place.taskhost("tenant create anna --data data").run().code(0);
    place.write("token", token.text());
    let run = format!("run primes in.txt --token-file token --server {url}");
    let done = place.taskhost(&format!("{run} --server-ca ca.pem")).run().code(0);
    assert_eq!(done.text(), "4\n25\n");
    let by_variable = place.taskhost(&run).env("TASKHOST_SERVER_CA", "ca.pem").run().code(0);
    assert_eq!(by_variable.text(), "4\n25\n");
    // Whoever somebody else vouches for, or nobody, is not told the token; and is not asked again.
    for stranger in [format!("{run} --server-ca other.pem"), run.clone()] {
        let refused = place.taskhost(&stranger).run().code(5);
        assert!(refused.stderr.to_lowercase().contains("certificate"), "{}", refused.stderr);
    }
    let none = place.taskhost(&format!("{run} --server-ca in.txt")).run().code(5);
    assert!(none.stderr.contains("holds none in PEM"), "{}", none.stderr);
    // By another name than the certificate's.
    let renamed = run.replace("127.0.0.1", "127.0.0.2");
    place.taskhost(&format!("{renamed} --server-ca ca.pem")).run().code(5);
    let link = place.taskhost("tenant page --data data").run().code(0);
    assert!(link.text().starts_with(&format!("{url}/#operator=")), "{}", link.text());
    server.process.signal(Signal::TERM);
    server.end().code(0);
}
