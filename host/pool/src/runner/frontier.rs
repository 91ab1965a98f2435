//! The end of a portion of a reduction: the parts that only other portions can go on with become the job's output.

use std::sync::Arc;

use taskhost_protocol::ids::JobId;
use taskhost_protocol::work::Partial;

use super::Pool;
use super::sink::{Content, Purpose, Write};
use crate::event::{Event, JobFailure, PartId};

impl Pool {
    /// Writes parts end to end to the output.
    pub(super) fn write_parts(&mut self, job: JobId, parts: &[(PartId, Partial)]) {
        let ids: Vec<PartId> = parts.iter().map(|(part, _)| *part).collect();
        let bytes = parts.iter().map(|(_, partial)| partial.len).sum();
        let joined = self.parts.join(&ids);
        for part in ids {
            self.parts.drop_part(part);
        }
        let Some(running) = self.jobs.get_mut(&job) else { return };
        running.partials = parts.iter().map(|(_, partial)| *partial).collect();
        match (joined, running.target()) {
            (Err(why), _) => self.tell_state(Event::JobBroken { job, failure: JobFailure::Output(why) }),
            (Ok((file, _)), Some(target)) => {
                let content = Content::File { file: Arc::new(file), offset: 0, len: bytes };
                self.sink.write(Write { job, purpose: Purpose::Header, target, content });
            }
            (Ok(_), None) => self.tell_state(Event::Written { job, bytes }),
        }
    }
}
