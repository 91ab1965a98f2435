//! What tutorials on Python's `multiprocessing` compute, with the pool as a library. See README.md.

#![expect(clippy::print_stdout, reason = "it is a program, and this its result")]

mod cpu_task;
mod csv_job;
mod endless;
mod image_filter;
mod primes;
mod shared_array;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    taskhost::worker::run_if_worker();
    let mut arguments = std::env::args().skip(1).skip_while(|argument| argument.starts_with('-'));
    match arguments.next().as_deref() {
        Some("primes") => primes::run(),
        Some("image-filter") => image_filter::run(),
        Some("cpu-task") => cpu_task::run(),
        Some("csv-job") => csv_job::run(arguments.next().ok_or("which folder?")?.as_ref()),
        Some("endless") => endless::run(),
        Some("shared-array") => shared_array::run(),
        _ => Err("which one? primes, image-filter, cpu-task, csv-job FOLDER, endless, or shared-array".into()),
    }
}

/// A file of this folder.
fn path(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/articles")).join(name)
}
