//! Asks other servers for kernels and contents: at addresses that may be reached.

use std::time::Duration;

use taskhost_service::fetch::{Fetched, Fetcher, Get};
use taskhost_service::webhook::{Networks, Undelivered};
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;
use ureq::unversioned::transport::DefaultConnector;

use super::courier::{Allowed, undelivered};

/// How long it may take until a server begins to answer, and until more of an answer comes.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a content may take to come, however steadily it does.
const TIME: Duration = Duration::from_secs(600);

/// Places that one is sent on to: a registry keeps contents elsewhere, and seldom twice.
const REDIRECTIONS: u32 = 3;

/// Fetches over the network.
pub(super) struct Ships {
    agent: Agent,
}

impl Ships {
    /// From public addresses, and these networks.
    pub(super) fn new(networks: Networks) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(REDIRECTIONS)
            // What was shown to a server is for it alone.
            .redirect_auth_headers(RedirectAuthHeaders::Never)
            .proxy(None)
            // A connection that is kept would go around the resolver.
            .max_idle_connections(0)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .timeout_recv_body(Some(TIME))
            .user_agent(concat!("taskhost/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), Allowed::new(networks)) }
    }
}

impl Fetcher for Ships {
    fn fetch(&self, wanted: Get<'_>) -> Result<Fetched, Undelivered> {
        let mut request = self.agent.get(wanted.url).header("accept", wanted.form);
        if let Some(token) = wanted.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !wanted.elsewhere {
            request = request.config().max_redirects(0).max_redirects_will_error(false).build();
        }
        let answer = request.call().map_err(undelivered)?;
        let challenge = answer.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
        let (status, challenge) = (answer.status().as_u16(), challenge.map(str::to_owned));
        Ok(Fetched { status, challenge, body: Box::new(answer.into_body().into_reader()) })
    }
}
