//! The service: its tenants, its store, and what it does over HTTP.

#[cfg(feature = "serve")]
mod attacks;
#[cfg(feature = "serve")]
mod backup;
#[cfg(feature = "serve")]
mod batch;
#[cfg(feature = "serve")]
mod browser;
#[cfg(feature = "serve")]
mod calls;
#[cfg(feature = "serve")]
mod changes;
#[cfg(feature = "serve")]
mod chaos;
#[cfg(feature = "serve")]
mod client;
#[cfg(feature = "serve")]
mod compiled;
#[cfg(feature = "serve")]
mod config;
#[cfg(feature = "serve")]
mod counts;
#[cfg(feature = "serve")]
mod crowd;
#[cfg(feature = "serve")]
mod description;
#[cfg(feature = "serve")]
mod digests;
#[cfg(feature = "serve")]
mod drain;
#[cfg(feature = "serve")]
mod dry_run;
#[cfg(feature = "serve")]
mod examples;
#[cfg(feature = "serve")]
mod fairness;
#[cfg(feature = "serve")]
mod following;
#[cfg(feature = "serve")]
mod gone;
#[cfg(feature = "serve")]
mod holds;
#[cfg(feature = "serve")]
mod http;
#[cfg(feature = "serve")]
mod items;
#[cfg(feature = "serve")]
mod load;
#[cfg(feature = "serve")]
mod machine;
#[cfg(feature = "serve")]
mod names;
#[cfg(feature = "serve")]
mod page;
#[cfg(feature = "serve")]
mod parts;
#[cfg(feature = "serve")]
mod processes;
#[cfg(feature = "serve")]
mod quotas;
#[cfg(feature = "serve")]
mod registries;
#[cfg(feature = "serve")]
mod remote;
#[cfg(feature = "serve")]
mod reports;
#[cfg(feature = "serve")]
mod restart;
#[cfg(feature = "serve")]
mod signatures;
#[cfg(feature = "serve")]
mod soak;
mod tenants;
#[cfg(feature = "serve")]
mod tls;
#[cfg(feature = "serve")]
mod tokens;
#[cfg(feature = "serve")]
mod uploads;
#[cfg(feature = "serve")]
mod webhooks;
#[cfg(feature = "serve")]
mod weights;
