//! Rust types and calls for the kernel contract, generated from `wit/kernel.wit`.

wasmtime::component::bindgen!({
    path: "../../wit/kernel.wit",
    inline: "
        package taskhost:engine;

        world kernel {
            include taskhost:kernel/host@1.0.0;
            export taskhost:kernel/mapper@1.0.0;
            export taskhost:kernel/flat-mapper@1.0.0;
            export taskhost:kernel/packed-mapper@1.0.0;
            export taskhost:kernel/reducer@1.0.0;
            export taskhost:kernel/image-filter@1.0.0;
            export taskhost:kernel/describe@1.0.0;
            export taskhost:kernel/lifecycle@1.0.0;
        }
    ",
    world: "taskhost:engine/kernel",
    ownership: Borrowing { duplicate_if_necessary: true },
});

use taskhost_protocol::fault::Fault;
use taskhost_protocol::message::Level;

use crate::host::HostState;
use taskhost::kernel::{broadcast, config, counter, item, log, types};

impl types::Host for HostState {}

impl config::Host for HostState {
    fn get(&mut self, name: String) -> Option<String> {
        self.setting(&name).map(str::to_owned)
    }

    fn all(&mut self) -> Vec<(String, String)> {
        self.settings.to_vec()
    }
}

impl item::Host for HostState {
    fn current(&mut self) -> item::Origin {
        self.asked_item = true;
        match &self.item {
            Some(item) => {
                item::Origin { position: item.position, source: item.source.as_ref().into(), offset: item.offset }
            }
            None => item::Origin { position: 0, source: String::new(), offset: 0 },
        }
    }

    fn header(&mut self) -> Option<Vec<u8>> {
        self.item.as_ref()?.header.as_deref().map(<[u8]>::to_vec)
    }
}

impl log::Host for HostState {
    fn log(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.logs.push(level, message);
    }
}

impl broadcast::Host for HostState {
    fn size(&mut self, name: String) -> Option<u64> {
        Some(self.broadcast.entry(self.broadcast.find(&name)?)?.1)
    }

    fn read(&mut self, name: String, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        let (index, len) = self.broadcast.slice(&name, offset, length)?;
        // It is copied by way of the host, which has as much room as the kernel.
        self.allowance.cannot_hold(len).map_err(|fault| fault.to_string())?;
        let mut bytes = vec![0; usize::try_from(len).map_err(|error| error.to_string())?];
        let read = self.broadcast.read(index, offset, &mut bytes);
        let read = read.map_err(|error| format!("the broadcast data `{name}` cannot be read: {error}"))?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

impl counter::Host for HostState {
    fn add(&mut self, name: String, amount: u64) {
        self.count(&name, amount);
    }
}

impl From<types::Error> for Fault {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::InvalidInput(text) => Self::InvalidInput(text),
            types::Error::Failed(text) => Self::Failed(text),
            types::Error::Temporary(text) => Self::Temporary(text),
        }
        .capped()
    }
}
