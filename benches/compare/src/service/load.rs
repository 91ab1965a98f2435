//! Who asks, how often and over how many connections, and how long that took.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::connection::Connection;

/// A request that is made again and again, and what must be in its answer.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) request: &'a [u8],
    pub(crate) expected: &'a [u8],
}

/// How long each took, from the shortest to the longest.
pub(crate) struct Times {
    sorted: Vec<Duration>,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
}

impl Times {
    fn new(mut all: Vec<Duration>, took: Duration) -> Outcome<Self> {
        all.sort_unstable();
        if all.is_empty() { Err("nothing was asked for".into()) } else { Ok(Self { sorted: all, took }) }
    }

    /// The time that this part of all was not longer than, in microseconds.
    pub(crate) fn micros(&self, part: f64) -> f64 {
        let at = (part * (self.sorted.len() - 1) as f64).round() as usize;
        self.sorted[at].as_secs_f64() * 1e6
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.sorted.len() as f64 / self.took.as_secs_f64()
    }
}

impl Asked<'_> {
    fn once(&self, connection: &mut Connection) -> Outcome {
        let answer = connection.ask(self.request)?;
        let is_right = (200..300).contains(&answer.status)
            && answer.body.windows(self.expected.len().max(1)).any(|part| part == self.expected);
        if is_right || (self.expected.is_empty() && answer.status < 300) {
            return Ok(());
        }
        Err(format!("status {}: {}", answer.status, String::from_utf8_lossy(answer.body)).into())
    }

    /// So many times, over one connection.
    pub(crate) fn times(&self, count: usize) -> Outcome<Times> {
        let mut connection = Connection::new(self.address)?;
        let first = Instant::now();
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            self.once(&mut connection)?;
            all.push(began.elapsed());
        }
        Times::new(all, first.elapsed())
    }

    /// For so long, over so many connections, each of which asks again as soon as it was answered.
    pub(crate) fn as_fast_as_it_goes(&self, connections: u32, time: Duration) -> Outcome<Times> {
        self.together(connections, |connection, _, first| {
            let mut all = Vec::new();
            while first.elapsed() < time {
                let began = Instant::now();
                self.once(connection)?;
                all.push(began.elapsed());
            }
            Ok(all)
        })
    }

    /// For so long, so many in a second over so many connections, in even steps. One that has to wait for the answer of the one
    /// before took that time, too.
    pub(crate) fn at_a_pace(&self, connections: u32, per_second: u32, time: Duration) -> Outcome<Times> {
        let step = Duration::from_secs(1) * connections / per_second;
        self.together(connections, |connection, number, first| {
            let mut all = Vec::new();
            let mut due = first + step * number / connections;
            while due < first + time {
                let now = Instant::now();
                let began = if now < due {
                    thread::park_timeout(due - now);
                    // Waking up late is no fault of who answers.
                    Instant::now()
                } else {
                    due
                };
                self.once(connection)?;
                all.push(began.elapsed());
                due += step;
            }
            Ok(all)
        })
    }

    fn together(
        &self,
        connections: u32,
        ask: impl Fn(&mut Connection, u32, Instant) -> Outcome<Vec<Duration>> + Sync,
    ) -> Outcome<Times> {
        let mut open = (0..connections).map(|_| Connection::new(self.address)).collect::<Outcome<Vec<_>>>()?;
        let (first, ask) = (Instant::now(), &ask);
        let all = thread::scope(|scope| {
            let threads: Vec<_> = open
                .iter_mut()
                .zip(0..)
                .map(|(connection, number)| scope.spawn(move || ask(connection, number, first)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| "whoever asks has panicked")?);
            joined.collect::<Outcome<Vec<_>>>()
        })?;
        Times::new(all.concat(), first.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_the_ninety_ninth() -> Outcome {
        let times = Times::new((1..=101).rev().map(Duration::from_millis).collect(), Duration::from_secs(2))?;
        assert_eq!((times.micros(0.5), times.micros(0.99), times.per_second()), (51_000.0, 100_000.0, 50.5));
        Ok(())
    }
}
