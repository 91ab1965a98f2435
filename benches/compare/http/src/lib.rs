//! Answers a request whose body is `lo hi` with how many primes lie in [lo, hi), counted as the kernel `primes` counts them.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

/// Longest body that is read.
const MOST: usize = 1 << 20;

struct Primes;

impl Guest for Primes {
    fn handle(request: IncomingRequest, response: ResponseOutparam) {
        let answer = read(&request).as_deref().and_then(count);
        let (status, text) = answer.map_or((422, "expected `lo hi`".to_owned()), |count| (200, count.to_string()));
        let headers = Fields::new();
        let _ = headers.set("content-length", &[text.len().to_string().into_bytes()]);
        let answered = OutgoingResponse::new(headers);
        let _ = answered.set_status_code(status);
        let Ok(body) = answered.body() else { return };
        ResponseOutparam::set(response, Ok(answered));
        if let Ok(stream) = body.write() {
            let _ = stream.blocking_write_and_flush(text.as_bytes());
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

wasip2::http::proxy::export!(Primes);

fn read(request: &IncomingRequest) -> Option<Vec<u8>> {
    let body = request.consume().ok()?;
    let stream = body.stream().ok()?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(more) if bytes.len() + more.len() <= MOST => bytes.extend_from_slice(&more),
            Err(StreamError::Closed) => return Some(bytes),
            _ => return None,
        }
    }
}

fn count(item: &[u8]) -> Option<usize> {
    let mut words = item.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut number = || std::str::from_utf8(words.next()?).ok()?.parse::<u32>().ok();
    let (low, high) = (number()?, number()?);
    (low <= high && words.next().is_none()).then(|| (low..high).filter(|number| is_prime(*number)).count())
}

fn is_prime(number: u32) -> bool {
    number >= 2 && (2..=number.isqrt()).all(|divisor| number % divisor != 0)
}
