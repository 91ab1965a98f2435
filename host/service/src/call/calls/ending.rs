//! Workers that are ended although they could be called: of tenants that may not, of kernels that are gone or blocked.

use super::{Calls, Purpose, Ready, lock};
use crate::blobs::Digest;
use crate::call::CallError;
use crate::tenant::TenantId;

impl Calls {
    /// Ends the workers of tenants that may not call anything any more.
    pub fn refresh(&self) {
        let may = |tenant: TenantId| self.shared.directory.tenant(tenant).is_some_and(|tenant| tenant.enabled);
        drop(self.end(|purpose| !may(purpose.tenant), &CallError::Stopping));
    }

    /// Ends the workers of a kernel that is gone, of whatever function.
    pub fn forget(&self, tenant: TenantId, kernel: &Digest) {
        drop(self.end(|purpose| purpose.tenant == tenant && purpose.kernel == *kernel, &CallError::Gone));
    }

    /// Ends the workers of a kernel that nobody may run any more.
    pub fn block(&self, kernel: &Digest, why: &str) {
        drop(self.end(|purpose| purpose.kernel == *kernel, &CallError::Refused(why.to_owned())));
    }

    /// Takes out what is ready, or is being made so, for these purposes; calls that wait for it hear why. The workers of what
    /// is returned are waited for when it is dropped.
    pub(super) fn end(&self, is_ended: impl Fn(&Purpose) -> bool, why: &CallError) -> Vec<Ready> {
        let mut books = lock(&self.books);
        let ended: Vec<Purpose> = books.kernels.keys().filter(|purpose| is_ended(purpose)).cloned().collect();
        let unused = ended.iter().filter_map(|purpose| self.take_out(&mut books, purpose)).collect();
        for purpose in &ended {
            for call in books.lines.remove(purpose.tenant, |call| call.purpose == *purpose) {
                // One that does not wait any more has nothing to be told.
                let _ = call.sender.send(Err(why.clone()));
            }
        }
        self.dispatch(&mut books);
        unused
    }
}
