//! What a service does for those who ask it over loopback: small calls, a long queue, one tenant beside another that floods.
//!
//! ```text
//! service calls TASKHOST FOLDER SECONDS                what a call takes at moderate load, and how many there are in a second
//! service wasmtime WASMTIME COMPONENT SECONDS          the same of `wasmtime serve`
//! service queue TASKHOST FOLDER JOBS                   what jobs in line cost, and requests while they are
//! service fairness TASKHOST FOLDER JOBS SECONDS        what a call takes while another tenant has so many jobs in line
//! ```

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod calls;
mod connection;
mod fairness;
mod load;
mod queue;
mod server;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Figures by name.
type Figures = Vec<(&'static str, f64)>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = |text: &str| text.parse().map(Duration::from_secs);
    let figures = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["calls", taskhost, folder, time] => calls::ours(Path::new(taskhost), Path::new(folder), seconds(time)?)?,
        ["wasmtime", wasmtime, component, time] => {
            calls::wasmtime(Path::new(wasmtime), Path::new(component), seconds(time)?)?
        }
        ["queue", taskhost, folder, jobs] => queue::run(Path::new(taskhost), Path::new(folder), jobs.parse()?)?,
        ["fairness", taskhost, folder, jobs, time] => {
            fairness::run(Path::new(taskhost), Path::new(folder), jobs.parse()?, seconds(time)?)?
        }
        _ => return Err("see the head of this program's source for what it takes".into()),
    };
    figures.iter().for_each(|(name, value)| println!("{name} {value:.3}"));
    Ok(())
}
