//! What `signals/checks.rs` needs exists in debug builds only; in a release there is nothing to check.

#[cfg(debug_assertions)]
#[path = "signals/checks.rs"]
mod checks;

fn main() {
    #[cfg(debug_assertions)]
    checks::run();
}
