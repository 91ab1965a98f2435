//! The rows. A new one is a function here, in a file of its own when it is of a new kind.

mod break_even;
mod compute;
mod coordinator;
mod efficiency;
mod faults;
mod files;
mod invert;
mod pictures;
mod service;
mod shares;
mod start;
mod submit;
mod tiny;

use std::io;

use crate::row::Row;
use crate::setup::Setup;

type Make = fn(&Setup) -> io::Result<Row>;

/// All rows, by the names that `--only` takes.
pub(crate) const ALL: [(&str, Make); 28] = [
    ("sobel-2000-f64", |setup| pictures::row(setup, "sobel", 2000, "f64")),
    ("sobel-2000-rgb", |setup| pictures::row(setup, "sobel", 2000, "rgb")),
    ("sobel-16000-f64", |setup| pictures::row(setup, "sobel", 16_000, "f64")),
    ("sobel-16000-rgb", |setup| pictures::row(setup, "sobel", 16_000, "rgb")),
    ("blur-2000-f64", |setup| pictures::row(setup, "blur", 2000, "f64")),
    ("blur-2000-rgb", |setup| pictures::row(setup, "blur", 2000, "rgb")),
    ("blur-16000-f64", |setup| pictures::row(setup, "blur", 16_000, "f64")),
    ("blur-16000-rgb", |setup| pictures::row(setup, "blur", 16_000, "rgb")),
    ("primes-of-the-articles", compute::primes_of_the_articles),
    ("primes", compute::primes),
    ("mandelbrot-small", compute::mandelbrot_small),
    ("mandelbrot", compute::mandelbrot),
    ("efficiency-2", |setup| efficiency::row(setup, 2)),
    ("efficiency-16", |setup| efficiency::row(setup, 16)),
    ("start", start::whole_process),
    ("worker", start::worker),
    ("tiny-items", tiny::packed),
    ("tiny-items-each", tiny::one_by_one),
    ("invert", invert::row),
    ("files", files::row),
    ("submit", submit::row),
    ("faults", faults::row),
    ("coordinator", coordinator::row),
    ("break-even", break_even::row),
    ("shares", shares::row),
    ("service-calls", service::calls),
    ("service-queue", service::queue),
    ("service-fairness", service::fairness),
];
