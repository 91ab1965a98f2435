//! Clocks and sleep for kernels. The wall clock stands at the run's start; the monotonic clock advances in steps of a
//! millisecond; a sleep takes no time and moves both clocks. So no call ever waits, and no runtime with timers and
//! threads is needed. Where the user allows it the clocks are real, but for the sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wasmtime::component::{HasData, Resource};
use wasmtime::{Caller, Extern};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxView, WasiView};

use crate::host::HostState;
use crate::wasi::PREVIEW1;

/// Step of the monotonic clock in nanoseconds: coarse enough that it is no stopwatch for side channels.
const STEP: u64 = 1_000_000;

/// The clocks of one instance.
pub(crate) struct Clock {
    /// Nanoseconds since 1970.
    start: u64,
    since: Instant,
    /// Nanoseconds that were slept.
    slept: AtomicU64,
    real: bool,
}

impl Clock {
    pub(crate) fn new(start: u64, real: bool) -> Self {
        Self { start, since: Instant::now(), slept: AtomicU64::new(0), real }
    }

    /// Nanoseconds between two steps of a clock.
    pub(crate) fn resolution(&self) -> u64 {
        if self.real { 1 } else { STEP }
    }

    /// Nanoseconds since 1970.
    pub(crate) fn wall(&self) -> u64 {
        let start = if self.real {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
        } else {
            self.start
        };
        start.saturating_add(self.slept.load(Ordering::Relaxed))
    }

    /// Never 0, which Go's runtime takes for a clock that is broken, and ends.
    pub(crate) fn monotonic(&self) -> u64 {
        let real = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let step = self.resolution();
        (real / step * step).saturating_add(STEP).saturating_add(self.slept.load(Ordering::Relaxed))
    }

    fn sleep(&self, nanoseconds: u64) {
        let slept = self.slept.load(Ordering::Relaxed);
        self.slept.store(slept.saturating_add(nanoseconds), Ordering::Relaxed);
    }
}

pub(crate) struct Wall(pub(crate) Arc<Clock>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(self.0.resolution())
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.wall())
    }
}

pub(crate) struct Monotonic(pub(crate) Arc<Clock>);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        self.0.resolution()
    }

    fn now(&self) -> u64 {
        self.0.monotonic()
    }
}

fn clock(state: &HostState) -> &Clock {
    &state.wasi.as_ref().expect("clocks are linked only for kernels that import WASI, and those have it").clock
}

/// A sleep that is over.
struct Over;

#[wasmtime_wasi::async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}

struct SleepView<'a>(&'a mut HostState);

struct HasSleep;

impl HasData for HasSleep {
    type Data<'a> = SleepView<'a>;
}

impl monotonic_clock::Host for SleepView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(clock(self.0).monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(clock(self.0).resolution())
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let wait = when.saturating_sub(clock(self.0).monotonic());
        self.subscribe_duration(wait)
    }

    fn subscribe_duration(&mut self, wait: u64) -> wasmtime::Result<Resource<DynPollable>> {
        clock(self.0).sleep(wait);
        let WasiCtxView { table, .. } = self.0.ctx();
        let over = table.push(Over)?;
        subscribe(table, over)
    }
}

/// Defines the monotonic clock of preview 2 anew.
pub(crate) fn link_component(linker: &mut wasmtime::component::Linker<HostState>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<HostState, HasSleep>(linker, |state| SleepView(state))
}

/// `errno` of preview 1: success, bad address, invalid argument.
const SUCCESS: i32 = 0;
const FAULT: i32 = 21;
const INVALID: i32 = 28;

/// Subscriptions in one call of `poll_oneoff`; a kernel has three descriptors and two clocks to wait for.
const SUBSCRIPTIONS: usize = 1024;

/// Defines `poll_oneoff` of preview 1 anew.
pub(crate) fn link_module(linker: &mut wasmtime::Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        PREVIEW1,
        "poll_oneoff",
        |mut caller: Caller<'_, HostState>, subscriptions: u32, events: u32, count: u32, occurred: u32| -> i32 {
            let Some(Extern::Memory(memory)) = caller.get_export("memory") else { return INVALID };
            let (bytes, state) = memory.data_and_store_mut(&mut caller);
            poll(bytes, clock(state), [subscriptions, events, count, occurred]).unwrap_or(FAULT)
        },
    )?;
    Ok(())
}

/// Bytes of a `subscription` and of an `event` in preview 1.
const SUBSCRIPTION: usize = 48;
const EVENT: usize = 32;

/// Reports every descriptor as ready, or else the clocks that would ring first, and moves the clocks there.
/// `None` when a pointer lies outside the memory.
fn poll(memory: &mut [u8], clock: &Clock, [subscriptions, events, count, occurred]: [u32; 4]) -> Option<i32> {
    let count = count as usize;
    if count == 0 || count > SUBSCRIPTIONS {
        return Some(INVALID);
    }
    let start = subscriptions as usize;
    let wanted: Vec<Subscription> = memory
        .get(start..start + count * SUBSCRIPTION)?
        .chunks_exact(SUBSCRIPTION)
        .map(|bytes| read(bytes, clock))
        .collect();
    let wait = wanted.iter().map(|subscription| subscription.wait).min().unwrap_or(0);
    clock.sleep(wait);
    let mut at = events as usize;
    let mut number = 0_u32;
    for subscription in wanted.iter().filter(|subscription| subscription.wait <= wait) {
        let event = memory.get_mut(at..at + EVENT)?;
        event.fill(0);
        event[..8].copy_from_slice(&subscription.data);
        event[10] = subscription.tag;
        at += EVENT;
        number += 1;
    }
    let occurred = occurred as usize;
    memory.get_mut(occurred..occurred + 4)?.copy_from_slice(&number.to_le_bytes());
    Some(SUCCESS)
}

struct Subscription {
    /// The kernel's own, given back in the event.
    data: [u8; 8],
    /// 0 a clock, 1 reading, 2 writing.
    tag: u8,
    /// Nanoseconds; none for a descriptor, whose end of file or empty buffer is always ready.
    wait: u64,
}

fn read(bytes: &[u8], clock: &Clock) -> Subscription {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        word
    };
    let tag = bytes[8];
    let timeout = u64::from_le_bytes(word(24));
    let absolute = bytes[40] & 1 != 0;
    let is_wall = bytes[16] == 0;
    let wait = match (tag, absolute) {
        (0, false) => timeout,
        (0, true) if is_wall => timeout.saturating_sub(clock.wall()),
        (0, true) => timeout.saturating_sub(clock.monotonic()),
        _ => 0,
    };
    Subscription { data: word(0), tag, wait }
}
