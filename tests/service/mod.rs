//! The service: its tenants, its store, and what it does over HTTP.

mod tenants;
