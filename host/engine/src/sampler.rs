//! Where a kernel spends its time (`--profile`): about a thousand times a second the functions on its stack are written down.
//!
//! Its code is compiled with checks of a counter in every loop and at every function's beginning; a timer moves that counter
//! ([`tick`]), and at the next check the kernel calls here. What is written is a text that [`SampleLog`] gives out piece by
//! piece; each line is one of
//!
//! ```text
//! f NAME                a function; they are numbered as they come, from 0
//! s NANOSECONDS 3 7 0   a sample: when, since the kernel was loaded, and the functions, innermost first
//! ```

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use taskhost_protocol::limits::NAME_BYTES;
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline, WasmBacktrace};

use crate::host::HostState;

/// Time between two samples.
pub const INTERVAL: Duration = Duration::from_millis(1);

/// Functions of a sample: deeper ones repeat.
const FRAMES: usize = 128;

/// The engine whose counter is moved.
static ENGINE: OnceLock<Engine> = OnceLock::new();

/// Moves the counter that kernels check. May be called from the handler of a signal.
pub fn tick() {
    if let Some(engine) = ENGINE.get() {
        engine.increment_epoch();
    }
}

/// What was written down and not yet taken.
#[derive(Clone, Debug)]
pub struct SampleLog {
    began: Instant,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    text: String,
    functions: HashMap<String, u32>,
}

impl SampleLog {
    /// For kernels of this engine, the only one of the process.
    pub(crate) fn new(engine: &Engine) -> Self {
        ENGINE.get_or_init(|| engine.clone());
        Self { began: Instant::now(), log: Arc::default() }
    }

    /// What was written since the last time, in whole lines.
    #[must_use]
    pub fn take(&self) -> String {
        std::mem::take(&mut self.lock().text)
    }

    /// Has the instances of a store sampled.
    pub(crate) fn watch(&self, store: &mut Store<HostState>) {
        let log = self.clone();
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |store| {
            log.sample(&store);
            Ok(UpdateDeadline::Continue(1))
        });
    }

    fn sample(&self, store: &StoreContextMut<'_, HostState>) {
        let nanos = self.began.elapsed().as_nanos();
        let mut log = self.lock();
        let mut sample = format!("s {nanos}");
        for frame in WasmBacktrace::force_capture(store).frames().iter().take(FRAMES) {
            let number = log.number(&name(frame));
            let _ = write!(sample, " {number}");
        }
        sample.push('\n');
        log.text.push_str(&sample);
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// The number of a function, which is written down when it is seen for the first time.
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.functions.get(name) {
            return *number;
        }
        let number = u32::try_from(self.functions.len()).unwrap_or(u32::MAX);
        self.functions.insert(name.to_owned(), number);
        let _ = writeln!(self.text, "f {name}");
        number
    }
}

/// The name of a function, on one line.
fn name(frame: &wasmtime::FrameInfo) -> String {
    let name = match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    };
    let mut name: String = name.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect();
    name.truncate(name.floor_char_boundary(NAME_BYTES));
    name
}
