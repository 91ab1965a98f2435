//! Gives the executable a build id: what tells host and worker of one build from those of another, and names the
//! artifacts that they share. The linker makes it from the contents; without it every start would hash the file. Says, too, which
//! compiler it was made by, for whoever has several servers.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Wl,--build-id=sha1");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    // `rustc 1.95.0 (…)`
    let said = String::from_utf8_lossy(&said).into_owned();
    println!("cargo::rustc-env=TASKHOST_RUSTC={}", said.split_whitespace().nth(1).unwrap_or("unknown"));
}
