//! `taskhost doctor`, as typed.

use clap::Args;

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Try to break out of the walls around a worker, from inside, and say what stopped each attempt
    #[arg(long)]
    pub(crate) attack: bool,
    /// Also with each layer of the walls left out in turn (takes some seconds)
    #[arg(long, requires = "attack")]
    pub(crate) each_layer: bool,
}
