//! Webhooks: whoever wants to is told of the end of a job, by a message that is signed, and sent again until it is taken.
//!
//! * [`reach`] says which places may be told anything: what is a network's own is not for strangers to send to.
//! * [`sign`] makes secrets and signatures, as Standard Webhooks has them.
//! * [`post`] sends what is due, a few messages at a time, each webhook's one after the other.
//!
//! Messages are rows of the store (`store/webhooks.rs`). This crate speaks no HTTP as a client: whoever makes a service brings a
//! [`Courier`].

mod post;
mod reach;
mod sign;

pub use crate::network::{Network, Networks, NoNetwork};
pub use post::{Outcomes, Post};
pub use reach::Target;
pub use sign::{is_secret, new_secret, signature};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where it goes.
    pub url: String,
    /// Names and values of what stands in its head.
    pub head: Vec<(&'static str, String)>,
    /// What it says: JSON.
    pub body: String,
}

/// Why a message did not get through, in words that tell nothing of the network that the server is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Its place has no address that may be told anything, or none at all.
    #[error("the place has no address that may be reached from here")]
    Address,
    /// Nobody is there.
    #[error("no connection could be made")]
    Connection,
    /// It took too long.
    #[error("there was no answer in time")]
    Late,
    /// Something else was wrong with the connection, its certificate for example.
    #[error("the connection was not made, or ended, for another reason: is its certificate good?")]
    Other,
}

/// Sends messages, each once.
pub trait Courier: Send + Sync {
    /// Sends a message, and waits for the status of the answer, some seconds at most. Follows no redirection, and connects to no
    /// address that may not be reached.
    ///
    /// # Errors
    /// When there is no answer.
    fn deliver(&self, letter: &Letter) -> Result<u16, Undelivered>;
}
