//! The `taskhost` command: parse, dispatch, turn the outcome into an exit code.
//!
//! This is the only place that prints or exits. Each subcommand has a file of its own; what they print goes through
//! [`report`], how they end through [`exit_code`].

mod args;
mod bench;
mod cache;
mod capsule;
mod capture;
mod check;
mod cluster;
mod doctor;
mod dry_run;
mod exit_code;
mod feed;
mod given;
mod inputs;
mod inspect;
mod invoke;
mod journal;
mod kernel;
mod new;
mod output;
mod picture;
mod plan;
mod profile;
#[cfg(feature = "serve")]
mod remote;
mod replay;
mod report;
mod resume;
mod run;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "service")]
mod served;
mod shards;
mod shell;
mod start;
mod stdio;
#[cfg(feature = "service")]
mod tenant;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Arguments, Command, RunCommand};
use exit_code::{Exit, Failure};

/// The system's allocator; a worker of this program says so when it gets no memory.
#[global_allocator]
static ALLOCATOR: taskhost_os::allocator::Reporting = taskhost_os::allocator::Reporting;

fn main() -> ExitCode {
    taskhost_worker::run_if_worker();
    #[cfg(feature = "service")]
    if !served::belongs_to_server() {
        return Exit::Terminated.into();
    }
    #[cfg(feature = "service")]
    if let Err(error) = served::take_words() {
        report::error(&error.into());
        return Exit::Host.into();
    }
    let arguments = match Arguments::try_parse_from(words::all()) {
        Ok(arguments) => arguments,
        Err(error) => return args::explain(&error).into(),
    };
    let result = match arguments.command {
        Command::Run(command) => run_here_or_there(*command),
        Command::Stdio(arguments) => stdio::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::New(arguments) => new::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Plan(arguments) => shards::plan(*arguments),
        Command::Shard(arguments) => shards::shard(arguments),
        Command::Merge(arguments) => shards::merge(&arguments),
        Command::Attach(arguments) => cluster::attach(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Compile(arguments) => inspect::compile(&arguments),
        Command::Resume(arguments) => resume::resume(arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Cache(arguments) => cache::run(&arguments),
        #[cfg(feature = "serve")]
        Command::Serve(_) => serve::run(),
        #[cfg(feature = "serve")]
        Command::Job(arguments) => remote::job(&arguments.command),
        #[cfg(feature = "service")]
        Command::Tenant(arguments) => tenant::run(*arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { folder } => shell::man(folder.as_deref()),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = error.downcast_ref::<Failure>().map_or(Exit::Host, |failure| failure.exit);
            report::error(&error);
            exit.into()
        }
    }
}

/// `taskhost run`: by this machine, or by a service.
fn run_here_or_there(command: RunCommand) -> anyhow::Result<Exit> {
    #[cfg(feature = "serve")]
    if let Some(server) = remote::Address::of(&command.server)? {
        return remote::run(command.run, command.there, &server);
    }
    #[cfg(feature = "serve")]
    if command.there.priority.is_some() {
        return Err(Failure::usage("--priority is for a run that a service does: name one with --server").into());
    }
    run::run(command.run)
}
