//! Gives the executable a build id: what tells host and worker of one build from those of another, and names the
//! artifacts that they share. The linker makes it from the contents; without it every start would hash the file.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Wl,--build-id=sha1");
}
