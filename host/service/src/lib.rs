//! The multi-tenant compute service: several people, who do not trust each other, run kernels on one machine.
//!
//! * [`store`] is what must survive: tenants, tokens, kernels, jobs, usage and the audit log, in one embedded database.
//! * [`blobs`] are contents by digest: kernels, inputs, results.
//! * [`tenant`] is who may do what, and how much of it.
//! * [`job`] is the work: jobs, whose turn it is, the processes that do it; `http` is how tenants ask for it.
//! * `call` is the small work: one item in, one result out, on workers that are kept ready.
//! * [`account`] is what both have used that is not written down yet.
//! * `webhook` is who is told of the end of a job without asking, and which places may be told anything at all.
//! * `fetch` is what is had from elsewhere, where the operator allows that; `registry` is how kernels are called there.
//! * `signature` is who vouches for kernels, where the operator wants that.
//! * [`compiled`] is the compiled code of kernels, which is there as long as they are and there is room.
//! * [`starts`] is whether processes can be started.
//! * [`sweep`] removes what nobody needs any more, [`backup`] copies everything while it is in use.
//! * [`admin`] is how the operator's commands reach a server that runs.
//!
//! This crate starts no worker and knows no engine: work is done by processes of their own, and by workers that whoever makes a
//! service brings.

pub mod account;
pub mod admin;
pub mod backup;
pub mod blobs;
#[cfg(feature = "http")]
pub mod call;
#[cfg(feature = "http")]
mod choice;
pub mod compiled;
pub mod counts;
pub mod data;
#[cfg(feature = "http")]
pub mod fetch;
#[cfg(feature = "http")]
pub mod http;
pub mod job;
pub mod name;
pub mod network;
pub mod random;
#[cfg(feature = "http")]
pub mod registry;
#[cfg(feature = "http")]
pub mod service;
#[cfg(feature = "http")]
pub mod signature;
pub mod starts;
pub mod store;
pub mod sweep;
pub mod tenant;
pub mod time;
#[cfg(feature = "http")]
pub mod webhook;
