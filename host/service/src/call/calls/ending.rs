//! Workers that are ended although they could be called: of tenants that may not, of kernels that are gone or blocked.

use super::{Calls, Purpose, Ready, lock};
use crate::blobs::Digest;
use crate::call::CallError;
use crate::tenant::TenantId;

impl Calls {
    /// Ends the workers of tenants that may not call anything any more.
    pub fn refresh(&self) {
        let mut books = lock(&self.books);
        let may = |tenant: TenantId| self.shared.directory.tenant(tenant).is_some_and(|tenant| tenant.enabled);
        let unwanted: Vec<Purpose> = books.kernels.keys().filter(|purpose| !may(purpose.tenant)).cloned().collect();
        let unused: Vec<Ready> = unwanted.iter().filter_map(|purpose| self.take_out(&mut books, purpose)).collect();
        for purpose in &unwanted {
            // Whoever waits hears that it is over.
            drop(books.lines.remove(purpose.tenant, |_| true));
        }
        drop(books);
        drop(unused);
    }

    /// Ends the workers of a kernel that is gone, of whatever function.
    pub fn forget(&self, tenant: TenantId, kernel: &Digest) {
        let mut books = lock(&self.books);
        let is_gone = |purpose: &&Purpose| purpose.tenant == tenant && purpose.kernel == *kernel;
        let gone: Vec<Purpose> = books.kernels.keys().filter(is_gone).cloned().collect();
        let unused: Vec<Ready> = gone.iter().filter_map(|purpose| self.take_out(&mut books, purpose)).collect();
        drop(books);
        drop(unused);
    }

    /// Ends the workers of a kernel that nobody may run any more; calls of it that wait hear why.
    pub fn block(&self, kernel: &Digest, why: &str) {
        let mut books = lock(&self.books);
        let blocked: Vec<Purpose> = books.kernels.keys().filter(|purpose| purpose.kernel == *kernel).cloned().collect();
        let unused: Vec<Ready> = blocked.iter().filter_map(|purpose| self.take_out(&mut books, purpose)).collect();
        for purpose in &blocked {
            for call in books.lines.remove(purpose.tenant, |call| call.purpose == *purpose) {
                // One that does not wait any more has nothing to be told.
                let _ = call.sender.send(Err(CallError::Refused(why.to_owned())));
            }
        }
        drop(books);
        drop(unused);
    }
}
