//! `taskhost serve`: the service, until a signal ends it.

mod calls;
mod courier;
mod fetch;
mod file;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum as _;
use taskhost_os::cores::{self, Topology, bind_current};
use taskhost_os::hardening;
use taskhost_os::poll::{Interest, Poller, Token};
use taskhost_os::signals::{Signal, Signals, stop_self};
use taskhost_service::call::MOST_WAITING;
use taskhost_service::http::{Elsewhere, Limits};
use taskhost_service::service::{Build, Changing, Doors, Options, Service};
use taskhost_service::webhook::Networks;

use crate::args::ServeArguments;
use crate::exit_code::{Exit, Failure};
use crate::report;

use calls::Workers;
use courier::Web;
use fetch::Ships;
use settings::Settings;

/// How often it is looked whether nothing is under way any more.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the service.
pub(crate) fn run() -> Result<Exit> {
    let settings = Settings::read()?;
    let check = settings.arguments.check_config.then(|| settings.describe());
    let mut arguments = settings.arguments;
    if arguments.openapi {
        return Ok(report::text(&taskhost_service::http::document()));
    }
    let Some(data) = arguments.data.take() else {
        return Err(
            Failure::usage("name the folder in which everything is kept: --data DIR, or data in the file").into()
        );
    };
    let doors = Doors {
        listen: arguments.listen,
        tls: arguments.tls_cert.take().zip(arguments.tls_key.take()),
        metrics: arguments.metrics,
        plain_beyond_loopback: arguments.plain_http_beyond_loopback,
        kernel_keys: arguments.kernel_keys.take(),
    };
    if let Some(text) = check {
        doors.check().map_err(|error| Failure::input(error.to_string()))?;
        return Ok(report::text(&text));
    }
    hardening::give_up()
        .map_err(|error| Failure::new(Exit::Host, format!("privileges cannot be given up: {error}")))?;
    let host = |error: std::io::Error| Failure::new(Exit::Host, format!("signals cannot be received: {error}"));
    // Before any thread: a thread inherits which signals are taken here, and so do the processes of jobs. One that is told to
    // wait for its turn before it can stop itself must not be stopped by the system: it would outlive a server that is killed,
    // and have the folder of its job for ever.
    let taken = [Signal::Interrupt, Signal::Terminate, Signal::HangUp, Signal::Suspend];
    let signals = Signals::install(&taken).map_err(host)?;
    let mut poller = Poller::new().map_err(host)?;
    poller.add(&signals, Token(0), Interest::Read).map_err(host)?;
    let sandbox = arguments.sandbox.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned());
    let are_apart = keep_apart(arguments.workers.0)?;
    let cores = Topology::current().plan(arguments.workers.0).len();
    let engine = Workers::new(cores, arguments.sandbox.into()).map_err(|error| Failure::input(error.to_string()))?;
    engine.try_walls().map_err(|error| Failure::new(Exit::Sandbox, error.to_string()))?;
    report::tracing::begin(arguments.log_format);
    if !are_apart {
        tracing::warn!(
            "there are more workers than cores: those of different tenants may share one, and with it its caches"
        );
    }
    if arguments.reserve >= cores {
        tracing::warn!("all workers are reserved: jobs have one nevertheless, and calls of a tenant one at a time");
    }
    let networks = Networks(std::mem::take(&mut arguments.webhook_network));
    let options = Options {
        data,
        doors,
        program: PathBuf::from("/proc/self/exe"),
        sandbox,
        cores,
        reserve: arguments.reserve,
        waiting: MOST_WAITING,
        engine: Arc::new(engine),
        courier: Arc::new(Web::new(networks.clone())),
        elsewhere: Elsewhere {
            registries: std::mem::take(&mut arguments.registry),
            sources: std::mem::take(&mut arguments.content_source),
            fetcher: Arc::new(Ships::new(networks.clone())),
        },
        networks,
        build: Build { wasmtime: taskhost_worker::WASMTIME_VERSION, rustc: env!("TASKHOST_RUSTC") },
        changing: changing(&arguments),
    };
    let service = Service::start(options).map_err(|error| Failure::input(error.to_string()))?;
    let scheme = if service.is_secret() { "https" } else { "http" };
    let mut text = format!("listening on {scheme}://{}\n", service.address);
    if let Some(metrics) = service.metrics {
        text.push_str(&format!("numbers on http://{metrics}/metrics\n"));
    }
    let exit = report::text(&text);
    if exit != Exit::Done {
        service.stop();
        return Ok(exit);
    }
    let mut ready = Vec::new();
    // Set by the first signal that asks for an end.
    let mut ends: Option<Instant> = None;
    loop {
        poller.wait(ends.map(|_| LOOK), &mut ready).map_err(host)?;
        match signals.next_signal() {
            Some(Signal::HangUp) => arguments.drain_time = reload(&service).unwrap_or(arguments.drain_time),
            Some(Signal::Suspend) => stop_self(),
            Some(_) if ends.is_some() => break,
            Some(_) => {
                service.drain();
                ends = Some(Instant::now() + arguments.drain_time);
            }
            None => {}
        }
        if ends.is_some_and(|ends| service.is_drained() || Instant::now() >= ends) {
            break;
        }
    }
    service.stop();
    Ok(Exit::Done)
}

/// What of the settings a service goes by from now on that it did not when it began.
/// Has this process, and all that it starts, run on one hyperthread of each core, so that no two tenants are on one core at the
/// same time. Returns false when more workers are wanted than that.
fn keep_apart(workers: cores::Workers) -> Result<bool, Failure> {
    let topology = Topology::current();
    let Some(cpus) = topology.apart(workers) else { return Ok(topology.logical_count() == topology.physical().len()) };
    if cpus.len() < topology.logical_count() {
        let failure =
            |error| Failure::new(Exit::Host, format!("one hyperthread of each core cannot be chosen: {error}"));
        bind_current(&cpus).map_err(failure)?;
    }
    Ok(true)
}

fn changing(arguments: &ServeArguments) -> Changing {
    let limits = Limits {
        connections: arguments.max_connections,
        per_address: arguments.max_connections_per_address,
        ..Limits::default()
    };
    Changing { limits, keep_jobs: arguments.keep_jobs }
}

/// Has everything read again that may have changed. Returns the time for draining when the settings are well; otherwise they
/// stay as they were.
fn reload(service: &Service) -> Option<Duration> {
    let settings = Settings::read().map(|settings| settings.arguments);
    if let Err(failure) = &settings {
        tracing::error!(error = failure.message, "the settings stay as they were");
    }
    let settings = settings.ok();
    match service.reload(settings.as_ref().map(changing)) {
        Ok(()) => tracing::info!("tenants, certificate and keys were read again, and those settings that may change"),
        Err(error) => tracing::error!(error = error.to_string(), "what may have changed cannot be read again"),
    }
    settings.map(|settings| settings.drain_time)
}
