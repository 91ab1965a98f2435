//! Where failed items are kept: `--errors` and `--capture`, made before any work is done.

use std::time::{SystemTime, UNIX_EPOCH};

use taskhost_data::merge::merge_name;
use taskhost_data::split::split_name;
use taskhost_pool::runner::Pool;
use taskhost_protocol::kernel::Kind;
use taskhost_protocol::work::{Merge, Split};

use crate::args::RunArguments;
use crate::capsule::{Failed, Item, Kernel, Limits, Manifest};
use crate::capture::{Capture, CaptureFolder};
use crate::exit_code::Failure;
use crate::given::Gifts;
use crate::kernel::KernelFile;
use crate::plan::Shape;
use crate::report::errors::ErrorFile;
use crate::report::failures::Failures;

/// What was made before the pool is started.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    errors: Option<ErrorFile>,
    /// The folder, and the kernel that goes into each capsule.
    capture: Option<(CaptureFolder, Vec<u8>)>,
}

impl Keeping {
    pub(super) fn new(arguments: &RunArguments, kernel: &KernelFile) -> Result<Self, Failure> {
        let errors = arguments.failures.attempts.errors.as_deref().map(ErrorFile::create).transpose()?;
        let errors = errors.map(|errors| errors.with_limit(arguments.served.most_output));
        let folder = arguments.failures.capture.as_deref().map(CaptureFolder::create).transpose()?;
        Ok(Self { errors, capture: folder.map(|folder| (folder, kernel.bytes.clone())) })
    }

    /// The run begins.
    pub(super) fn begin(
        self,
        arguments: &RunArguments,
        pool: &Pool,
        kernel: &str,
        shape: Shape,
        clock: SystemTime,
    ) -> Failures {
        let (split, merge) = match shape {
            Shape::Items { split, merge, .. } => (Some(split.0), merge.0),
            Shape::Picture => (None, Merge::Concat),
        };
        let capture = self.capture.map(|(folder, bytes)| {
            let since_1970 = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
            let template = Manifest {
                version: Manifest::current_version(),
                taskhost: env!("CARGO_PKG_VERSION").into(),
                kernel: Kernel {
                    name: kernel.into(),
                    kind: arguments.kernel.kind.map(|kind| Kind::from(kind).name().into()),
                    invoke: arguments.items.call.invoke.as_ref().map(|invoke| invoke.text().to_owned()),
                    blake3: pool.digest().to_string(),
                },
                settings: arguments.items.call.config.clone(),
                // It was understood before anything began.
                given: Gifts::new(&arguments.given).unwrap_or_default(),
                limits: limits(arguments),
                split: split_name(split.unwrap_or(Split::Whole)),
                merge: merge_name(merge).into(),
                clock: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
                item: Item::default(),
                failure: Failed::default(),
            };
            Capture::new(folder, bytes, template)
        });
        Failures::new(self.errors, capture, split)
    }
}

fn limits(arguments: &RunArguments) -> Limits {
    let limits = &arguments.limits;
    Limits {
        memory_bytes: limits.memory,
        output_bytes: limits.max_output,
        fuel: limits.fuel,
        timeout_nanoseconds: limits.timeout.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)),
    }
}
