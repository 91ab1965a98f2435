//! Looking for jobs.

use rusqlite::{Connection, types::Value};

use super::Result;
use super::jobs::{JOB, JobRow, SPEC, row};
use crate::job::{JobId, JobState};
use crate::tenant::TenantId;
use crate::time::Moment;

/// Which jobs are looked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those that are so far.
    pub state: Option<JobState>,
    /// Those of this kernel.
    pub kernel: Option<String>,
    /// Those with all of these labels.
    pub labels: Vec<(String, String)>,
    /// Those that came at this time or later.
    pub created_after: Option<Moment>,
    /// Those that came before this one.
    pub before: Option<JobId>,
}

impl Filter {
    /// Whether every job fits, from some one on.
    #[must_use]
    pub fn is_any(&self) -> bool {
        let Self { state, kernel, labels, created_after, before: _ } = self;
        state.is_none() && kernel.is_none() && labels.is_empty() && created_after.is_none()
    }
}

/// Milliseconds by which the clock may have been set between a job's number and its record.
const CLOCKS: i64 = 60_000;

/// Bytes of what was asked for, of all jobs of a list: it is held as a whole. One is listed in any case.
const MOST_BYTES: usize = 1 << 20;

/// Jobs of a tenant from the newest to the oldest, and whether there may be more: as many as are wanted, or fewer when they are
/// large.
///
/// # Errors
/// When they cannot be read.
pub fn list(connection: &Connection, tenant: TenantId, filter: &Filter, most: u32) -> Result<(Vec<JobRow>, bool)> {
    let mut values: Vec<Value> = vec![tenant.0.into(), i64::from(most).into()];
    let mut sql = format!("{JOB} WHERE tenant = ?1");
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(" AND ");
        sql.push_str(&condition.replace("{}", &format!("?{}", values.len())));
    };
    if let Some(state) = filter.state {
        // The indexes are about the one or the other.
        let ended = if state.is_over() { "state = {} AND ended IS NOT NULL" } else { "state = {} AND ended IS NULL" };
        and(ended, state.name().to_owned().into());
    }
    if let Some(kernel) = &filter.kernel {
        and("kernel = {}", kernel.clone().into());
    }
    if let Some(moment) = filter.created_after {
        and("created >= {}", moment.0.into());
        // Numbers go by the time, so that those before are not looked at.
        and("id >= {}", JobId::earliest(Moment(moment.0.saturating_sub(CLOCKS))).into());
    }
    if let Some(before) = &filter.before {
        and("id < {}", before.as_str().to_owned().into());
    }
    for (name, value) in &filter.labels {
        // The first of the two is whatever is pushed next.
        and("id IN (SELECT job FROM job_labels WHERE tenant = ?1 AND name = {}", name.clone().into());
        and("value = {})", value.clone().into());
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?2");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(cells) = rows.next()? {
        bytes += cells.get_ref(SPEC)?.as_str().map_or(0, str::len);
        if bytes > MOST_BYTES && !found.is_empty() {
            return Ok((found, true));
        }
        found.push(row(cells)?);
    }
    let is_full = found.len() == most as usize;
    Ok((found, is_full))
}
